"""Few groups of many rows are counted another way than many small ones, and come to the same."""

from __future__ import annotations

import numpy as np
import pytest

from mlhealth.profile import tally
from mlhealth.profile.ordering import LEAST_ROWS
from mlhealth.profile.tally import Grouping
from mlhealth.profile.window_profile import WindowProfile
from tests.strategies import LAYOUT, batch_of

VALUES = [None, -10.0, 0.0, 1.5, 100.0, 250.0, float("nan"), float("inf"), float("-inf"), 1.25, -7.5]


@pytest.mark.parametrize("groups", [1, 2])
def test_sorting_comes_to_what_slots_come_to(groups: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, counts and moments of each group are equal whether its values were sorted or their slots found."""
    rows = 3 * LEAST_ROWS
    batch = batch_of(
        [
            {
                "income": VALUES[i % len(VALUES)],
                "region": ["eu", "us", "asia", "mars", None][i % 5],
                "owner": i % 2,
                "y_pred": i % 2,
                "y_score": (i % 101) / 100,
                "ts": 1_600_000_000 + i,
                "event_id": str(i),
            }
            for i in range(rows)
        ]
    )
    grouping = Grouping(np.arange(rows) * 7 % groups, groups)
    found = []
    for is_worth_it in (True, False):
        monkeypatch.setattr(tally, "is_worth_it", lambda answer=is_worth_it: answer)
        found.append(WindowProfile.of_groups(batch, LAYOUT, [grouping]))
    assert found[0].keys() == found[1].keys() == {(0, group) for group in range(groups)}
    for place, one in found[0].items():
        other = found[1][place]
        assert (one.rows, one.first, one.last) == (other.rows, other.first, other.last)
        np.testing.assert_array_equal(one.counts, other.counts)
        np.testing.assert_allclose(one.moments, other.moments, rtol=1e-9)
