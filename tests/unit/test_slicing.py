"""Files cut into windows: every row in exactly one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhealth.clock import HOUR
from mlhealth.errors import ConfigError
from mlhealth.events.batch import KEY, TIME, EventBatch
from mlhealth.files.production import Cut
from mlhealth.files.slicing import row_windows, time_windows
from tests.strategies import batches


@given(batches(), st.integers(1, 12))
def test_row_windows_are_consecutive_and_hold_every_row(batch: EventBatch, rows: int) -> None:
    """Windows of N rows follow the file's order; only the last may be shorter."""
    windows = list(row_windows(batch, rows))
    assert [w.batch.rows for w in windows[:-1]] == [rows] * (len(windows) - 1)
    assert [k for w in windows for k in w.batch.array(KEY)] == batch.array(KEY).tolist()
    assert [(w.start, w.end) for w in windows] == [
        (i * rows, i * rows + w.batch.rows - 1) for i, w in enumerate(windows)
    ]


@given(batches(), st.sampled_from([HOUR, 24 * HOUR, 24 * 365 * HOUR]))
def test_time_windows_are_aligned_and_hold_every_row(batch: EventBatch, width: int) -> None:
    """Each row lies in the one epoch-aligned window of its event time; windows come in order, none empty."""
    windows = list(time_windows(batch, width))
    assert sum(w.batch.rows for w in windows) == batch.rows
    assert [w.start for w in windows] == sorted({w.start for w in windows})
    for window in windows:
        times = window.batch.array(TIME).astype(int)
        assert window.start % width == 0
        assert window.batch.rows > 0
        assert ((times >= window.start) & (times < window.end)).all()


@pytest.mark.parametrize("choice", [{}, {"rows": 5, "width": HOUR}, {"rows": 0}])
def test_exactly_one_way_of_cutting_is_needed(choice: dict[str, int]) -> None:
    """Neither, both, or no rows at all is a mistake of the user."""
    with pytest.raises(ConfigError, match="--window"):
        Cut(**choice)
