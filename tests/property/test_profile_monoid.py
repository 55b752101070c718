"""A window profile is a commutative monoid, and the same however its rows were cut."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhealth.errors import BaselineError
from mlhealth.events.batch import KEY, EventBatch
from mlhealth.profile.window_profile import ProfileLayout, WindowProfile
from tests.strategies import LAYOUT, SCHEMA, batches, contents, splits


def profile(batch: EventBatch) -> WindowProfile:
    """Return the profile of a batch in the small layout."""
    return WindowProfile.of(batch, LAYOUT)


def assert_equal(a: WindowProfile, b: WindowProfile) -> None:
    """Counts, rows, times and sample are equal exactly; moments within 1e-9 of their size."""
    assert (a.rows, a.first, a.last) == (b.rows, b.first, b.last)
    np.testing.assert_array_equal(a.counts, b.counts)
    np.testing.assert_allclose(a.moments, b.moments, rtol=1e-9, atol=1e-9)
    assert (a.sample is None) == (b.sample is None)
    if a.sample is not None and b.sample is not None:
        assert contents(a.sample) == contents(b.sample)


@given(batches())
def test_empty_is_the_identity(batch: EventBatch) -> None:
    """Merging with the empty profile, from either side, changes nothing."""
    empty = WindowProfile.empty(LAYOUT)
    assert_equal(profile(batch).merge(empty), profile(batch))
    assert_equal(empty.merge(profile(batch)), profile(batch))


@given(batches(), batches(), batches())
def test_merging_is_associative_and_commutative(a: EventBatch, b: EventBatch, c: EventBatch) -> None:
    """Grouping and order of merges do not matter."""
    x, y, z = profile(a), profile(b), profile(c)
    assert_equal(x.merge(y).merge(z), x.merge(y.merge(z)))
    assert_equal(x.merge(y), y.merge(x))


@given(st.data(), batches())
def test_any_split_of_the_rows_gives_the_whole(data: st.DataObject, batch: EventBatch) -> None:
    """Profiles of shuffled parts, merged, equal the profile of all rows at once."""
    parts = [batch.take(rows) for rows in data.draw(splits(batch.rows))]
    merged = reduce(WindowProfile.merge, (profile(part) for part in parts), WindowProfile.empty(LAYOUT))
    assert_equal(merged, profile(batch))


@given(batches())
def test_every_row_is_counted_once_in_each_column(batch: EventBatch) -> None:
    """The slots of a column, missing and overflow included, add up to the rows."""
    found = profile(batch)
    for name, _ in LAYOUT.columns:
        assert found.column(name).sum() == batch.rows
    assert found.scores.sum() == batch.rows


@given(batches())
def test_the_sample_holds_the_smallest_distinct_keys(batch: EventBatch) -> None:
    """The sample's keys are the smallest distinct keys of the batch, in order."""
    keys = np.unique(batch.array(KEY))[: LAYOUT.sample_rows]
    sample = profile(batch).sample
    found = [] if sample is None else sample.column(KEY).to_pylist()
    assert found == keys.tolist()


@given(batches())
def test_bytes_hold_all_of_a_profile(batch: EventBatch) -> None:
    """Writing a profile and reading it again gives an equal one, and equal bytes."""
    blob = profile(batch).to_bytes()
    assert_equal(WindowProfile.from_bytes(blob, LAYOUT), profile(batch))
    assert WindowProfile.from_bytes(blob, LAYOUT).to_bytes() == blob


@given(batches(), st.integers(0, 2000))
def test_damaged_bytes_are_refused(batch: EventBatch, at: int) -> None:
    """A profile cut short is refused as damaged; it never comes back as another profile."""
    blob = profile(batch).to_bytes()
    with pytest.raises(BaselineError):
        WindowProfile.from_bytes(blob[: at % len(blob)], LAYOUT)


def test_profiles_of_other_baselines_do_not_merge() -> None:
    """Counts over other bins cannot be added, and say so."""
    other = ProfileLayout(SCHEMA, LAYOUT.columns[:-1])
    with pytest.raises(BaselineError, match="different baselines"):
        WindowProfile.empty(LAYOUT).merge(WindowProfile.empty(other))
    with pytest.raises(BaselineError, match="another baseline"):
        WindowProfile.from_bytes(WindowProfile.empty(LAYOUT).to_bytes(), other)
