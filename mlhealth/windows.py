"""Tumbling windows of event time: which rows fall in which, how far time has come, and which windows are due.

Everything here is a pure function of event times and stored progress. Wall time decides when to look, never what is
in a window. All times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhealth.clock import to_iso
from mlhealth.events.batch import TIME, EventBatch

EARLIEST = 631_152_000_000_000
"""1990-01-01: an event time before it is a unit mistaken (seconds for milliseconds) or a clock never set."""


@dataclass(frozen=True)
class WindowSpec:
    """How a model's windows are cut.

    `size`: length. `lateness`: for how long after its end a window takes late rows. `revise`: least wall time between
    two revisions before the last. `allowance`: how far ahead of its message's own timestamp an event may be.
    `empty`: how many windows without any row in one stretch are reported before the silence is only counted.
    """

    size: int
    lateness: int
    revise: int
    allowance: int
    empty: int = 24


def window_start(times: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return the start of the window that each time falls in; windows are [start, start + size), aligned to the epoch.

    >>> window_start(np.array([0, 59, 60, -1]), 60).tolist()
    [0, 0, 60, -60]
    """
    return times - times % size


@dataclass(frozen=True)
class Pane:
    """The rows of one batch that belong to one window and came from one partition."""

    partition: int
    start: int
    batch: EventBatch


def split(batch: EventBatch, partition: NDArray[np.int32], size: int) -> list[Pane]:
    """Return the batch by partition and window, in that order; `partition` numbers each row's origin, shape (rows,)."""
    if batch.rows == 0:
        return []
    starts = window_start(batch.array(TIME).astype(np.int64, copy=False), size)
    if (starts == starts[0]).all() and (partition == partition[0]).all():
        return [Pane(int(partition[0]), int(starts[0]), batch)]
    order = np.lexsort((starts, partition))
    new = (np.diff(starts[order]) != 0) | (np.diff(partition[order]) != 0)
    groups = np.split(order, np.flatnonzero(new) + 1)
    return [Pane(int(partition[g[0]]), int(starts[g[0]]), batch.take(np.sort(g))) for g in groups]


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


@dataclass(frozen=True)
class OpenWindow:
    """A window that still has partial profiles: its rows now, and of its latest report (None: not reported yet)."""

    start: int
    rows: int
    reported: int | None = None
    revised: int = 0


@dataclass(frozen=True)
class Due:
    """One window to evaluate now. `is_final`: it takes no more rows afterwards."""

    start: int
    end: int
    is_revision: bool
    is_final: bool


@dataclass(frozen=True)
class Plan:
    """What to do at the watermark `mark`: windows in order, those to be put away, and how far both ends then stand.

    `skipped`: windows without rows that are not reported because the silence is too long.
    """

    mark: int | None
    due: tuple[Due, ...]
    retire: tuple[int, ...]
    closed_end: int | None
    final_end: int | None
    skipped: int = 0


def plan(
    spec: WindowSpec, windows: Sequence[OpenWindow], mark: int | None, closed_end: int | None, now: int
) -> Plan:
    """Return what is due at the watermark `mark`.

    A window closes when the watermark passes its end; late rows reopen it at most once per `revise`, and once more when
    its lateness has passed. Windows without rows between two with rows, and after the last, are reported too.
    """
    if mark is None:
        return Plan(None, (), (), closed_end, None)
    horizon = _floor(mark, spec.size)
    final_end = _floor(mark - spec.lateness, spec.size)
    known = {w.start: w for w in windows}
    fresh = sorted(s for s, w in known.items() if s + spec.size <= horizon and w.reported is None)
    empty, skipped = _empty(spec, fresh, closed_end, horizon)
    due = [Due(s, s + spec.size, False, s + spec.size <= final_end) for s in sorted([*fresh, *empty])]
    for window in windows:
        end = window.start + spec.size
        if window.reported is None or window.rows == window.reported:
            continue
        if end <= final_end or now - window.revised >= spec.revise:
            due.append(Due(window.start, end, True, end <= final_end))
    due.sort(key=lambda d: (d.is_revision is False, d.start))
    touched = {d.start for d in due}
    retire = tuple(s for s, w in sorted(known.items()) if s + spec.size <= final_end and s not in touched)
    reached = closed_end if not (fresh or closed_end is not None) else max(horizon, closed_end or horizon)
    return Plan(mark, tuple(due), retire, reached, final_end, skipped)


def _empty(
    spec: WindowSpec, fresh: Sequence[int], closed_end: int | None, horizon: int
) -> tuple[list[int], int]:
    """Return the starts of windows without rows to report, and how many more there are."""
    if closed_end is None and not fresh:
        return [], 0
    at = closed_end if closed_end is not None else fresh[0]
    out: list[int] = []
    skipped = 0
    for stop in [*(s for s in fresh if s >= at), horizon]:
        gap = max((stop - at) // spec.size, 0)
        shown = min(gap, spec.empty)
        out.extend(range(at, at + shown * spec.size, spec.size))
        skipped += gap - shown
        at = max(at, stop + spec.size)
    return out, skipped


def _floor(time: int, size: int) -> int:
    return time - time % size
