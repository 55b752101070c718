"""Which windows are due: rows by pane and reports so far in, what to close and to revise out, in order.

A *pane* is the shortest span of event time whose rows are counted together; a window is a run of whole panes.

| kind | its windows | when one closes |
|---|---|---|
| tumbling | one pane each | the watermark has passed its end |
| sliding | `size` long, one ends with every pane | the watermark has passed its end |
| run | one pane each, silence between them is none | the watermark has passed its end |
| count | consecutive panes | panes passed hold `rows` rows, or are `size` long; its bounds never change then |

A pane takes rows until the watermark has passed its end by the lateness; a window is final when its last pane is. Rows
that come between make a revision. Pure; all times are microseconds since the epoch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from mlhealth.windows import WindowSpec, floor_to


@dataclass(frozen=True)
class Told:
    """The latest report of a window that is not final: its bounds, its rows, and when (wall time) it was written."""

    start: int
    end: int
    rows: int
    at: int = 0


@dataclass(frozen=True)
class Open:
    """Where the windows of a model version stand.

    `panes`: rows by start, of all panes that are kept. `told`: windows with a report that are not final. `closed_end`:
    up to where windows were closed. `final_end`: panes that end by it take no more rows. `latest`: the latest event
    time seen.
    """

    panes: Mapping[int, int] = field(default_factory=dict)
    told: Sequence[Told] = ()
    closed_end: int | None = None
    final_end: int | None = None
    latest: int | None = None


@dataclass(frozen=True)
class Due:
    """One window to evaluate now."""

    start: int
    end: int
    is_revision: bool = False


@dataclass(frozen=True)
class Plan:
    """What to do at the watermark `mark`: windows in order, and how far both ends then stand.

    `skipped`: windows without rows that are not reported because the silence is too long.
    """

    mark: int | None
    due: tuple[Due, ...]
    closed_end: int | None
    final_end: int | None
    skipped: int = 0


@dataclass(frozen=True)
class _Fresh:
    """Windows to close for the first time, in order; up to where windows are closed then."""

    windows: Sequence[tuple[int, int]]
    closed_end: int | None
    skipped: int = 0


def plan(spec: WindowSpec, stand: Open, mark: int | None, now: int) -> Plan:
    """Return what is due at the watermark `mark`, revisions first.

    Late rows reopen a window at most once per `revise`, and once more when it becomes final. Windows without rows
    between two with rows, and after the last, are reported too, `empty` of them in one stretch at most.
    """
    if mark is None:
        return Plan(None, (), stand.closed_end, None)
    horizon, final_end = floor_to(mark, spec.pane), floor_to(mark - spec.lateness, spec.every or spec.pane)
    rows = _Rows(stand.panes)
    changed = [t for t in stand.told if rows.between(t.start, t.end) != t.rows]
    # A clock that was set back must not put a revision off by as much.
    ripe = [t for t in changed if t.end <= final_end or not 0 <= now - t.at < spec.revise]
    fresh = _fresh(spec, stand, rows, horizon)
    due = [Due(t.start, t.end, is_revision=True) for t in sorted(ripe, key=lambda t: t.end)]
    due += [Due(start, end) for start, end in fresh.windows]
    return Plan(mark, tuple(due), fresh.closed_end, final_end, fresh.skipped)


def needed_from(spec: WindowSpec, told: Sequence[Told], closed_end: int | None, final_end: int) -> int:
    """Return the start of the earliest pane that a window still needs, be it revised or closed for the first time."""
    if closed_end is None:
        return 0
    upcoming = closed_end if spec.rows else closed_end + spec.pane - spec.size
    return min([upcoming, *(t.start for t in told if t.end > final_end)])


class _Rows:
    """How many rows lie between two times, by whole panes."""

    def __init__(self, panes: Mapping[int, int]) -> None:
        self.starts = sorted(panes)
        self._before = [0, *accumulate(panes[start] for start in self.starts)]

    def between(self, start: int, end: int) -> int:
        """Return the rows of panes that start in [start, end)."""
        return self._before[bisect_left(self.starts, end)] - self._before[bisect_left(self.starts, start)]

    def reached(self, start: int, rows: int) -> int | None:
        """Return the start of the pane with which the panes from `start` on hold so many rows."""
        first = bisect_left(self.starts, start)
        at = bisect_left(self._before, self._before[first] + rows, lo=first + 1)
        return self.starts[at - 1] if at < len(self._before) else None

    def next(self, start: int) -> int | None:
        """Return the first pane that starts at `start` or later."""
        at = bisect_left(self.starts, start)
        return self.starts[at] if at < len(self.starts) else None


def _fresh(spec: WindowSpec, stand: Open, rows: _Rows, horizon: int) -> _Fresh:
    """Return the windows that have no report yet, by their kind."""
    if spec.every:
        return _by_run(spec, stand, horizon)
    return _by_count(spec, stand, rows, horizon) if spec.rows else _by_time(spec, stand, horizon)


def _by_run(spec: WindowSpec, stand: Open, horizon: int) -> _Fresh:
    """Return runs that have no report yet."""
    ends = _ends(spec, stand, horizon)
    closed = [end for end in (stand.closed_end, *ends) if end is not None]
    return _Fresh([(end - spec.size, end) for end in ends], max(closed, default=None))


def _ends(spec: WindowSpec, stand: Open, horizon: int) -> list[int]:
    """Return the ends of windows that hold rows, are over, have no report, and may still have one."""
    told, since = {t.end for t in stand.told}, stand.final_end
    return sorted(
        {
            end
            for start, rows in stand.panes.items()
            for end in range(start + spec.pane, start + spec.size + 1, spec.pane)
            if rows and end <= horizon and end not in told and (since is None or end > since)
        }
    )


def _by_time(spec: WindowSpec, stand: Open, horizon: int) -> _Fresh:
    """Return tumbling and sliding windows that have no report yet."""
    ends = _ends(spec, stand, horizon)
    if stand.closed_end is None and not ends:
        return _Fresh((), None)
    at = ends[0] - spec.pane if stand.closed_end is None else stand.closed_end
    silence, skipped = [], 0
    for stop in [*(end for end in ends if end > at), horizon + spec.pane]:
        gap = max((stop - at) // spec.pane - 1, 0)
        shown = min(gap, _shown(spec, stand, at, spec.pane)) if stop > horizon else min(gap, spec.empty)
        silence += [at + spec.pane * (n + 1) for n in range(shown)]
        skipped += gap - shown
        at = max(at, stop)
    closed = sorted([*ends, *silence])
    reached = horizon if stand.closed_end is None else max(horizon, stand.closed_end)
    return _Fresh([(end - spec.size, end) for end in closed], reached, skipped)


def _shown(spec: WindowSpec, stand: Open, at: int, step: int) -> int:
    """Return how many more windows without rows may be reported after `at`, in the silence that lasts."""
    if stand.latest is None:
        return spec.empty
    began = floor_to(stand.latest, spec.pane) + spec.size
    return min(spec.empty, max((began + spec.empty * step - at) // step, 0))


def _by_count(spec: WindowSpec, stand: Open, rows: _Rows, horizon: int) -> _Fresh:
    """Return count windows that are full or old enough, and those of late rows that no window has."""
    at = stand.closed_end
    windows = [] if at is None else _strays(spec, stand, at)
    skipped = 0
    at = rows.next(0) if at is None else at
    while at is not None:
        until = rows.next(at)
        silent = max((min(horizon if until is None else until, horizon) - at) // spec.size, 0)
        shown = min(silent, _shown(spec, stand, at, spec.size) if until is None else spec.empty)
        windows += [(at + n * spec.size, at + (n + 1) * spec.size) for n in range(shown)]
        skipped += silent - shown
        at += silent * spec.size
        filled = rows.reached(at, spec.rows)
        end = at + spec.size if filled is None else min(filled + spec.pane, at + spec.size)
        if end > horizon:
            break
        windows.append((at, end))
        at = end
    return _Fresh(windows, at if windows or skipped else stand.closed_end, skipped)


def _strays(spec: WindowSpec, stand: Open, closed_end: int) -> list[tuple[int, int]]:
    """Return windows for late rows before `closed_end` that lie in no window with a report: one per such gap."""
    told = sorted(stand.told, key=lambda t: t.start)
    found: dict[int, int] = {}
    for start in sorted(s for s, rows in stand.panes.items() if rows and s < closed_end):
        is_final = stand.final_end is not None and start + spec.pane <= stand.final_end
        if is_final or any(t.start <= start < t.end for t in told):
            continue
        bound = next((t.start for t in told if t.start > start), closed_end)
        found.setdefault(bound, start)
    return sorted((start, bound) for bound, start in found.items())
