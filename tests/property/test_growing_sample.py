"""A sample that grows batch by batch is the one of all rows at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlhealth.events.batch import EventBatch
from mlhealth.profile.sampling import GrowingSample, bottom_k
from tests.strategies import batches, contents, splits


@given(st.data(), batches(max_size=60), st.integers(1, 12))
def test_growing_comes_to_the_sample_of_all_rows(data: st.DataObject, batch: EventBatch, size: int) -> None:
    """Whatever the batches, repeated ids with other contents included, and wherever it is taken up again."""
    grown = GrowingSample(size)
    for rows in data.draw(splits(batch.rows)):
        grown.add(batch.table, rows)
        if data.draw(st.booleans()):
            grown = GrowingSample(size, grown.table)
    assert grown.table is None or contents(grown.table) == contents(bottom_k(batch.table, size))
    assert (grown.table is None) == (batch.rows == 0)
