"""Event time: which times cannot be, and how far time has come."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlhealth.windows import EARLIEST, Progress, Silence, WindowSpec, implausible, watermark, window_start

SPEC = WindowSpec(size=10, lateness=20, revise=5, allowance=3, empty=4)
times = st.lists(st.integers(-1000, 1000), min_size=1, max_size=60)


@given(times, st.integers(1, 50))
def test_a_time_lies_in_its_window(values: list[int], size: int) -> None:
    """Each time lies in [start, start + size), and starts are multiples of the size, before the epoch too."""
    start = window_start(np.array(values), size)
    assert ((start <= values) & (np.array(values) < start + size)).all()
    assert (start % size == 0).all()


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


def test_a_silence_noted_in_the_future_counts_from_when_it_is_noticed() -> None:
    """A clock that was set back makes no partition idle early, and keeps none from being idle for as long."""
    silence = Silence()
    assert silence.since("p", 100, "a", 150) == 100
    assert [silence.since("p", 100, "a", now) for now in (40, 45, 60)] == [40, 40, 40]
    assert silence.since("p", 100, "b", 61) == 61
    assert silence.since("p", 100, "b", 30) == 30
    assert silence.since("p", 100, "b", 120) == 100
