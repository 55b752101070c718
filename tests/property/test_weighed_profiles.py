"""A profile of weighed rows is a monoid too, and of rows that weigh the same it is the profile without weights."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mlhealth.events.batch import KEY, WEIGHT, EventBatch
from mlhealth.profile.sampling import GrowingSample
from mlhealth.profile.weighing import UNIT, standing, thinned
from mlhealth.profile.window_profile import WindowProfile
from tests.property.test_profile_monoid import assert_equal
from tests.strategies import LAYOUT, batches, contents, splits

weights = st.one_of(st.sampled_from([1.0, 2.5, 10.0, 100.0, 1e6]), st.floats(1e-3, 1e4))


@st.composite
def weighed(draw: st.DrawFn) -> EventBatch:
    """Batches whose rows have weights."""
    batch = draw(batches())
    found = draw(st.lists(weights, min_size=batch.rows, max_size=batch.rows))
    return EventBatch(batch.schema, batch.table.append_column(WEIGHT, pa.array(found, pa.float64())))


def profile(batch: EventBatch) -> WindowProfile:
    """Return the profile of a batch in the small layout."""
    return WindowProfile.of(batch, LAYOUT)


def assert_same(a: WindowProfile, b: WindowProfile) -> None:
    """All of two profiles is equal, exactly but for moments."""
    assert_equal(a, b)
    one, other = a.effective(), b.effective()
    assert_equal(one, other)
    assert a.events == b.events
    if a.weighing is not None and b.weighing is not None:
        assert (a.weighing.total, a.weighing.squares) == (b.weighing.total, b.weighing.squares)
        np.testing.assert_array_equal(a.weighing.counts, b.weighing.counts)


@given(st.data(), weighed())
def test_any_split_of_weighed_rows_gives_the_whole(data: st.DataObject, batch: EventBatch) -> None:
    """Profiles of shuffled parts, merged in any grouping, equal the profile of all rows at once."""
    parts = [profile(batch.take(rows)) for rows in data.draw(splits(batch.rows))]
    whole = profile(batch)
    assert_same(reduce(WindowProfile.merge, parts, WindowProfile.empty(LAYOUT)), whole)
    assert_same(reduce(lambda a, b: b.merge(a), reversed(parts), WindowProfile.empty(LAYOUT)), whole)


@given(batches(), weighed(), weighed())
def test_rows_with_and_without_weights_merge(a: EventBatch, b: EventBatch, c: EventBatch) -> None:
    """Rows without a weight stand for themselves beside rows that have one, in any grouping and order."""
    x, y, z = profile(a), profile(b), profile(c)
    assert_same(x.merge(y).merge(z), x.merge(y.merge(z)))
    assert_same(x.merge(y), y.merge(x))
    assert abs(x.merge(y).events - (a.rows + y.events)) <= 1


@given(batches(), st.sampled_from([1.0, 3.0, 10.0, 1 / 0.3]))
def test_rows_that_weigh_the_same_are_judged_as_without_weights(batch: EventBatch, weight: float) -> None:
    """Of a log sampled evenly, effective rows, counts and sample are those of the rows themselves."""
    plain, sampled = profile(batch), profile(batch.sampled(1 / weight))
    assert_equal(sampled.effective(), plain)
    assert abs(sampled.events - batch.rows * weight) <= 0.5 + batch.rows * weight / UNIT


@given(weighed())
def test_weighed_counts_add_up(batch: EventBatch) -> None:
    """Each column's weighed counts add up to the total, its effective counts to the effective rows."""
    found = profile(batch)
    if found.weighing is None:
        return
    assert 0 <= found.weighing.effective_rows <= batch.rows
    effective = found.effective()
    for name, _ in LAYOUT.columns:
        assert found.weighing.counts[LAYOUT.slices[name]].sum() == found.weighing.total
        assert effective.column(name).sum() == effective.rows
        assert (effective.column(name) >= 0).all()


@given(weighed())
def test_bytes_hold_the_weighing(batch: EventBatch) -> None:
    """Writing a weighed profile and reading it again gives an equal one, and equal bytes."""
    blob = profile(batch).to_bytes()
    assert_same(WindowProfile.from_bytes(blob, LAYOUT), profile(batch))
    assert WindowProfile.from_bytes(blob, LAYOUT).to_bytes() == blob


@given(st.data(), weighed())
def test_a_growing_sample_is_the_sample(data: st.DataObject, batch: EventBatch) -> None:
    """A sample that grows batch by batch holds the rows of the sample made at once."""
    growing = GrowingSample(LAYOUT.sample_rows)
    for rows in data.draw(splits(batch.rows)):
        growing.add(batch.table, rows)
    found, expected = growing.table, profile(batch).sample
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert contents(found) == contents(expected)


def population(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return values and log chances of so many events; large values are logged rarely."""
    rng = np.random.default_rng(seed)
    values = rng.lognormal(0.0, 1.0, rows)
    return values, np.clip(1.0 / (1.0 + values), 0.02, 1.0)


def test_the_thinned_sample_is_unbiased() -> None:
    """Means over thinned rows of unequally sampled logs scatter around the traffic's mean, within their own error."""
    errors, naive = [], []
    for seed in range(120):
        values, chances = population(20_000, seed)
        rng = np.random.default_rng([seed, 1])
        logged = rng.random(len(values)) < chances
        keys = rng.integers(0, 2**64, int(logged.sum()), dtype=np.uint64)
        table = pa.table({KEY: keys, WEIGHT: 1.0 / chances[logged], "v": values[logged]})
        order = np.argsort(keys / (1.0 / chances[logged]))[:1_000]
        even = np.asarray(thinned(standing(table.take(pa.array(order)), 1_000)).column("v"))
        assert len(even) > 100
        errors.append((even.mean() - values.mean()) / (even.std() / np.sqrt(len(even))))
        naive.append((values[logged].mean() - values.mean()) / (even.std() / np.sqrt(len(even))))
    assert abs(np.mean(errors)) < 3.0 / np.sqrt(len(errors)) * 1.2
    assert 0.8 < np.std(errors) < 1.25
    assert np.mean(naive) < -3.0
