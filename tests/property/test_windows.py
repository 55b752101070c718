"""Windows are cut, closed and revised alike whatever the order and the partitioning of their rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mlhealth.events.batch import KEY, TIME, EventBatch
from mlhealth.schema.model_schema import ModelSchema, Storage, Task
from mlhealth.windows import (
    EARLIEST,
    OpenWindow,
    Plan,
    Progress,
    WindowSpec,
    implausible,
    plan,
    split,
    watermark,
    window_start,
)

SCHEMA = ModelSchema("m", "1", Task.REGRESSION, (), "y", Storage.FLOAT)
SPEC = WindowSpec(size=10, lateness=20, revise=5, allowance=3, empty=4)
times = st.lists(st.integers(-1000, 1000), min_size=1, max_size=60)


def batch_of(values: list[int]) -> EventBatch:
    """Return a batch with these times."""
    time = np.array(values, dtype=np.int64)
    return EventBatch(SCHEMA, pa.table({KEY: np.arange(len(time), dtype=np.uint64), TIME: time}))


@given(times, st.integers(1, 50))
def test_a_time_lies_in_its_window(values: list[int], size: int) -> None:
    """Each time lies in [start, start + size), and starts are multiples of the size, before the epoch too."""
    start = window_start(np.array(values), size)
    assert ((start <= values) & (np.array(values) < start + size)).all()
    assert (start % size == 0).all()


@given(times, st.integers(1, 4), st.integers(0, 2**32))
def test_split_is_a_partition_of_the_rows(values: list[int], partitions: int, seed: int) -> None:
    """Every row lands in exactly one pane, with its own partition and window."""
    owner = np.random.default_rng(seed).integers(0, partitions, len(values)).astype(np.int32)
    panes = split(batch_of(values), owner, SPEC.size)
    keys = np.concatenate([pane.batch.array(KEY) for pane in panes])
    assert sorted(keys.tolist()) == list(range(len(values)))
    assert len({(pane.partition, pane.start) for pane in panes}) == len(panes)
    for pane in panes:
        rows = pane.batch.array(KEY).astype(np.int64)
        assert (owner[rows] == pane.partition).all()
        assert (window_start(pane.batch.array(TIME).astype(np.int64), SPEC.size) == pane.start).all()


def test_times_that_cannot_be_are_put_aside() -> None:
    """1970 and a time ahead of its message are told apart from plausible ones, which are kept."""
    written = np.array([EARLIEST + 100, EARLIEST + 100, EARLIEST + 100])
    found = implausible(np.array([5, EARLIEST + 103, EARLIEST + 104]), written, SPEC.allowance)
    assert [(f.outcome, f.rows.tolist()) for f in found] == [
        ("ancient", [True, False, False]),
        ("future", [False, False, True]),
    ]


active = st.builds(Progress, st.integers(0, 1000), st.just(100), st.booleans())


@given(st.lists(active, min_size=1, max_size=5))
def test_the_watermark_is_the_least_of_the_active(parts: list[Progress]) -> None:
    """While no partition is idle, the slowest tells the time."""
    assert watermark(parts, now=100, idle=10) == min(p.event_time for p in parts if p.event_time is not None)


def test_an_unread_partition_holds_the_watermark_back() -> None:
    """A partition with a backlog is never idle, however long it has been silent."""
    ahead = Progress(500, 100, is_read=True)
    assert watermark([ahead, Progress(None, 0, is_read=False)], now=1000, idle=10) is None
    assert watermark([ahead, Progress(40, 0, is_read=False)], now=1000, idle=10) == 40


def test_an_idle_partition_is_left_out() -> None:
    """A partition read to its confirmed end and silent for long enough does not hold the others back."""
    assert watermark([Progress(500, 99, True), Progress(40, 50, True)], now=100, idle=10) == 500


def test_silence_goes_on_at_the_pace_of_the_wall_clock() -> None:
    """When all partitions are idle, event time goes on from the latest event, at any distance from the present."""
    parts = [Progress(500, 100, True), Progress(40, 90, True)]
    assert watermark(parts, now=110, idle=10) == 500
    assert watermark(parts, now=150, idle=10) == 540


def run(rows: dict[int, int], marks: list[int]) -> tuple[list[int], list[Plan]]:
    """Close the windows that hold `rows` (by start) at a sequence of watermarks; return starts in closing order."""
    windows = {start: OpenWindow(start, count) for start, count in rows.items()}
    closed: list[int] = []
    plans = []
    end = None
    for now, mark in enumerate(marks):
        found = plan(SPEC, list(windows.values()), mark, end, now)
        plans.append(found)
        for due in found.due:
            known = windows.get(due.start, OpenWindow(due.start, 0))
            if due.start in windows:
                windows[due.start] = OpenWindow(due.start, known.rows, known.rows, now)
            if due.is_final:
                windows.pop(due.start, None)
            closed.append(due.start)
        for start in found.retire:
            windows.pop(start, None)
        end = found.closed_end
    return closed, plans


starts = st.dictionaries(st.integers(0, 30).map(lambda n: n * 10), st.integers(1, 9), min_size=1, max_size=10)


@given(starts, st.lists(st.integers(0, 400), min_size=1, max_size=20))
def test_windows_close_once_and_in_order(rows: dict[int, int], marks: list[int]) -> None:
    """Whatever way the watermark rises, each window with rows closes once, in order, none before its end."""
    rising = sorted(marks)
    closed, _ = run(rows, [*rising, 1000])
    assert closed == sorted(set(closed))
    assert set(rows) <= set(closed)
    early, _ = run(rows, rising)
    assert all(start + SPEC.size <= rising[-1] for start in early)


@given(starts, st.lists(st.integers(0, 400), min_size=1, max_size=20))
def test_the_same_windows_close_whatever_the_steps(rows: dict[int, int], marks: list[int]) -> None:
    """Looking often or once closes the same windows with rows."""
    often, _ = run(rows, [*sorted(marks), 1000])
    once, _ = run(rows, [1000])
    assert {s for s in often if s in rows} == {s for s in once if s in rows}


def test_empty_windows_are_reported_up_to_a_limit() -> None:
    """A gap is reported window by window; a silence longer than the limit is counted, not reported."""
    found = plan(SPEC, [OpenWindow(0, 5), OpenWindow(30, 5)], 40, None, 0)
    assert [due.start for due in found.due] == [0, 10, 20, 30]
    found = plan(SPEC, [], 200, 40, 0)
    assert [due.start for due in found.due] == [40, 50, 60, 70]
    assert found.skipped == 12


def test_late_rows_revise_at_most_once_per_interval_and_at_the_end() -> None:
    """A closed window with new rows waits for the interval, and is revised for the last time when lateness expires."""
    late = OpenWindow(0, rows=6, reported=5, revised=100)
    assert plan(SPEC, [late], 15, 10, now=104).due == ()
    (revision,) = plan(SPEC, [late], 15, 10, now=105).due
    assert (revision.is_revision, revision.is_final) == (True, False)
    (last, *_) = plan(SPEC, [late], 30, 10, now=101).due
    assert (last.start, last.is_revision, last.is_final) == (0, True, True)


def test_an_unchanged_window_is_put_away_after_its_lateness() -> None:
    """Without late rows a window is not evaluated again; its partials go when lateness has passed."""
    found = plan(SPEC, [OpenWindow(0, 5, reported=5)], 30, 30, now=0)
    assert (found.due, found.retire, found.final_end) == ((), (0,), 10)
