"""Event time: which pane a row falls in, which times cannot be, and how far time has come.

Everything here is a pure function of event times and stored progress. Wall time decides when to look, never what is
in a window. All times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhealth.clock import to_iso

EARLIEST = 631_152_000_000_000
"""1990-01-01: an event time before it is a unit mistaken (seconds for milliseconds) or a clock never set."""


@dataclass(frozen=True)
class WindowSpec:
    """How a model's windows are cut.

    `size`: length, of count windows the greatest. `lateness`: for how long after its end a pane takes late rows.
    `revise`: least wall time between two revisions before the last. `allowance`: how far ahead of its message's own
    timestamp an event may be. `empty`: how many windows without any row in one stretch are reported before the silence
    is only counted. `step`: length of a pane, where windows have several (0: one pane is a window). `rows`: how many
    close a count window (0: windows are not counted so). `every`: about how often runs come, of which each is a window
    (0: windows are no runs).
    """

    size: int
    lateness: int
    revise: int
    allowance: int
    empty: int = 24
    step: int = 0
    rows: int = 0
    every: int = 0

    @property
    def pane(self) -> int:
        """The length of a pane, whose rows are counted together."""
        return self.step or self.size


def window_start(times: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return the start of the pane that each time falls in; panes are [start, start + size), aligned to the epoch.

    >>> window_start(np.array([0, 59, 60, -1]), 60).tolist()
    [0, 0, 60, -60]
    """
    return times // size * size


@dataclass(frozen=True)
class Implausible:
    """Rows whose time cannot be: `rows` is a mask of shape (n,)."""

    rows: NDArray[np.bool_]
    outcome: str
    reason: str


def implausible(times: NDArray[np.int64], written: NDArray[np.int64], allowance: int) -> list[Implausible]:
    """Return the rows that may not be counted nor drive the watermark: older than 1990, or ahead of their message.

    `written`: when the message of each row was written, by its own timestamp, shape (n,).
    """
    old = times < EARLIEST
    ahead = times > written + allowance
    found = [
        Implausible(
            old, "ancient", f"the event time lies before {to_iso(EARLIEST)[:10]}; is it in another unit?"
        ),
        Implausible(ahead, "future", "the event time lies ahead of the message's own timestamp"),
    ]
    return [f for f in found if f.rows.any()]


@dataclass(frozen=True)
class Progress:
    """How far one model version has come in one partition.

    `event_time`: the latest event time read, None where it was never seen there. `seen`: wall time of that.
    `is_read`: whether the position equals the end that the broker has just confirmed.
    """

    event_time: int | None
    seen: int
    is_read: bool


def watermark(progress: Iterable[Progress], now: int, idle: int) -> int | None:
    """Return the event time up to which all rows are expected to have been read, None where nothing is known.

    It is the least over partitions that are not idle. A partition is idle when it has been read to its confirmed end
    and brought nothing for `idle`; one that is unread holds the watermark back. Where all are idle, event time goes on
    from the latest event at the pace of the wall clock: silence is news, at any distance from the present.
    """
    parts = list(progress)
    active = [p for p in parts if not (p.is_read and now - p.seen >= idle)]
    if active:
        times = [p.event_time for p in active]
        return None if any(t is None for t in times) else min(t for t in times if t is not None)
    known = [p for p in parts if p.event_time is not None]
    if not known:
        return None
    latest = max(known, key=lambda p: p.event_time or 0)
    return (latest.event_time or 0) + max(now - max(p.seen for p in known) - idle, 0)


def floor_to(time: int, size: int) -> int:
    """Return the latest multiple of `size` that is not after `time`."""
    return time - time % size


class Silence:
    """Since when partitions bring nothing, by a clock that may be set back.

    A time in the future was written before the clock was set back; such a silence counts from when it was noticed.
    """

    def __init__(self) -> None:
        self._noticed: dict[object, tuple[object, int]] = {}

    def since(self, place: object, seen: int, sign: object, now: int) -> int:
        """Return from which wall time the silence of `place` counts, which gave its last `sign` of life at `seen`."""
        if seen <= now:
            self._noticed.pop(place, None)
            return seen
        before, noticed = self._noticed.get(place, (sign, now))
        if before != sign or noticed > now:
            noticed = now
        self._noticed[place] = (sign, noticed)
        return noticed
