"""Windows of every kind close once and in order, and say in the end what all their panes hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhealth.window_plan import Due, Open, Plan, Told, needed_from, plan
from mlhealth.windows import WindowSpec, floor_to

TUMBLING = WindowSpec(size=10, lateness=20, revise=5, allowance=3, empty=4)
SLIDING = WindowSpec(size=30, lateness=20, revise=5, allowance=3, empty=4, step=10)
COUNT = WindowSpec(size=60, lateness=20, revise=5, allowance=3, empty=4, step=10, rows=12)
RUN = WindowSpec(size=10, lateness=60, revise=5, allowance=3, empty=4, every=50)
SPECS = (TUMBLING, SLIDING, COUNT, RUN)


@dataclass
class Store:
    """What a store holds of one model version, and every window that was ever told."""

    spec: WindowSpec
    panes: dict[int, int] = field(default_factory=dict)
    told: dict[int, Told] = field(default_factory=dict)
    closed_end: int | None = None
    final_end: int | None = None
    order: list[Due] = field(default_factory=list)
    taken: dict[int, int] = field(default_factory=dict)

    def take(self, rows: Mapping[int, int]) -> None:
        """Take rows by pane; those of a pane that is final come too late."""
        for start, count in rows.items():
            if self.final_end is None or start + self.spec.pane > self.final_end:
                self.panes[start] = self.panes.get(start, 0) + count
                self.taken[start] = self.taken.get(start, 0) + count

    def look(self, mark: int, now: int) -> Plan:
        """Do what is due at a watermark."""
        open_told = [t for t in self.told.values() if self.final_end is None or t.end > self.final_end]
        found = plan(self.spec, Open(self.panes, open_told, self.closed_end, self.final_end), mark, now)
        for due in found.due:
            rows = sum(n for start, n in self.panes.items() if due.start <= start < due.end)
            self.told[due.start] = Told(due.start, due.end, rows, now)
            self.order.append(due)
        self.closed_end = found.closed_end
        assert found.final_end is not None
        self.final_end = max(found.final_end, self.final_end or found.final_end)
        needed = needed_from(self.spec, list(self.told.values()), self.closed_end, self.final_end)
        self.panes = {
            s: n for s, n in self.panes.items() if s >= needed or s + self.spec.pane > self.final_end
        }
        return found


panes = st.dictionaries(st.integers(0, 30).map(lambda n: n * 10), st.integers(1, 9), min_size=1, max_size=10)
steps = st.lists(st.tuples(st.integers(0, 60), panes), min_size=1, max_size=12)


@pytest.mark.parametrize("spec", SPECS)
@given(steps)
def test_every_window_says_in_the_end_what_its_panes_hold(
    spec: WindowSpec, found: list[tuple[int, dict[int, int]]]
) -> None:
    """However late rows come and however the watermark rises, the last report of each window counts all rows taken."""
    store, mark = Store(spec), 0
    for now, (rise, rows) in enumerate(found):
        mark += rise
        store.take(rows)
        store.look(mark, now)
    store.look(2_000, 100)
    told = store.told.values()
    for one in told:
        assert one.rows == sum(n for s, n in store.taken.items() if one.start <= s < one.end)
    overlap = spec.size // spec.pane if not spec.rows else 1
    for start in store.taken:
        assert sum(one.start <= start < one.end for one in told) == overlap


@pytest.mark.parametrize("spec", SPECS)
@given(steps)
def test_windows_close_once_and_in_order(spec: WindowSpec, found: list[tuple[int, dict[int, int]]]) -> None:
    """Each window is closed once, none before its end; only late rows of windows not yet told go back in time."""
    store, mark = Store(spec), 0
    for now, (rise, rows) in enumerate(found):
        mark += rise
        store.take({start: n for start, n in rows.items() if start >= mark})
        before = len(store.order)
        store.look(mark, now)
        assert all(due.end <= mark for due in store.order[before:])
    first = [due for due in store.order if not due.is_revision]
    assert [due.end for due in first] == sorted({due.end for due in first})


@pytest.mark.parametrize("spec", SPECS)
@given(panes, st.lists(st.integers(0, 400), min_size=1, max_size=20))
def test_the_same_windows_close_whatever_the_steps(
    spec: WindowSpec, rows: dict[int, int], marks: list[int]
) -> None:
    """Looking often or once closes the same windows with rows."""
    often, once = Store(spec), Store(spec)
    often.take(rows)
    once.take(rows)
    for now, mark in enumerate([*sorted(marks), 1_000]):
        often.look(mark, now)
    once.look(1_000, 0)
    with_rows = [{(t.start, t.end, t.rows) for t in s.told.values() if t.rows} for s in (often, once)]
    assert with_rows[0] == with_rows[1]


@given(panes)
def test_count_windows_are_full_or_old(rows: dict[int, int]) -> None:
    """Each holds its rows with its last pane and not before, or is as long as one may be; they follow one another."""
    store = Store(COUNT)
    store.take(rows)
    store.look(2_000, 0)
    for one in store.told.values():
        last = store.taken.get(one.end - COUNT.pane, 0)
        is_full = one.rows >= COUNT.rows and one.rows - last < COUNT.rows
        assert is_full or (one.end - one.start == COUNT.size and one.rows - last < COUNT.rows)


def test_the_bounds_of_a_count_window_stay_when_late_rows_come() -> None:
    """Late rows revise the window that was closed, and move no boundary."""
    store = Store(COUNT)
    store.take({0: 5, 10: 8, 20: 3})
    store.look(30, 0)
    store.take({10: 20})
    store.look(31, 10)
    assert store.order == [Due(0, 20), Due(0, 20, is_revision=True)]


def test_a_sliding_window_is_told_with_every_pane() -> None:
    """Each row is in every window that covers its pane."""
    store = Store(SLIDING)
    store.take({0: 5, 10: 7})
    store.look(50, 0)
    assert [(t.start, t.end, t.rows) for t in store.told.values()] == [
        (-20, 10, 5), (-10, 20, 12), (0, 30, 12), (10, 40, 7), (20, 50, 0),
    ]  # fmt: skip


def test_empty_windows_are_reported_up_to_a_limit() -> None:
    """A gap is reported window by window; a silence longer than the limit is counted, not reported."""
    found = plan(TUMBLING, Open({0: 5, 30: 5}), 40, 0)
    assert [due.start for due in found.due] == [0, 10, 20, 30]
    found = plan(TUMBLING, Open(closed_end=40), 200, 0)
    assert [due.start for due in found.due] == [40, 50, 60, 70]
    assert found.skipped == 12


@pytest.mark.parametrize("spec", [TUMBLING, SLIDING, COUNT])
def test_a_lasting_silence_is_reported_only_so_often(spec: WindowSpec) -> None:
    """Looked at window by window, a silence ends in nothing but a count too."""
    told, skipped = 0, 0
    stand = Open({0: spec.rows or 1}, latest=5)
    for mark in range(10, 2_000, 10):
        found = plan(spec, stand, mark, 0)
        told, skipped = told + len(found.due), skipped + found.skipped
        stand = Open(closed_end=found.closed_end, final_end=found.final_end, latest=5)
    with_rows = spec.size // spec.pane if not spec.rows else 1
    assert told in {with_rows + spec.empty, with_rows + spec.empty + 1}
    assert skipped > 10


def test_late_rows_revise_at_most_once_per_interval_and_at_the_end() -> None:
    """A closed window with new rows waits for the interval, and is revised for the last time when lateness expires."""
    late = Open({0: 6}, [Told(0, 10, 5, 100)], 10)
    assert plan(TUMBLING, late, 15, now=104).due == ()
    revision = Due(0, 10, is_revision=True)
    assert plan(TUMBLING, late, 15, now=105).due == (revision,)
    assert plan(TUMBLING, late, 15, now=50).due == (revision,)
    assert plan(TUMBLING, late, 30, now=101).due[0] == revision


def test_panes_go_when_no_window_needs_them() -> None:
    """A pane is kept as long as a window of it may be revised or closed."""
    assert needed_from(TUMBLING, [], 30, 10) == 30
    assert needed_from(TUMBLING, [Told(0, 10, 5), Told(20, 30, 5)], 30, 10) == 20
    assert needed_from(SLIDING, [Told(0, 30, 5), Told(10, 40, 5)], 40, 30) == 10
    assert needed_from(COUNT, [Told(0, 20, 5)], 20, 40) == 20
    assert needed_from(COUNT, [], None, 40) == 0
    assert floor_to(-1, 10) == -10


@given(panes)
def test_silence_between_runs_is_none(rows: dict[int, int]) -> None:
    """Every run is told once, and nothing else, however long no run came."""
    store = Store(RUN)
    store.take(rows)
    assert store.look(1_000_000, 0).skipped == 0
    assert {t.start: t.rows for t in store.told.values()} == rows
