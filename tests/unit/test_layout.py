"""Bins fitted to reference rows: every value has its slot."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mlhealth.profile.bins import CategoryBins, NumericBins
from mlhealth.profile.layout import NUMERIC_BINS, TOP_CATEGORIES, category_bins, numeric_bins


def test_few_distinct_values_have_a_bin_each() -> None:
    """With at most 100 distinct values, each is counted by itself."""
    values = np.repeat([1.0, 2.0, 5.0], [10, 20, 30])
    bins = numeric_bins(values)
    assert bins.count(values)[bins.regular].tolist() == [10, 20, 30]


def test_many_values_are_split_evenly(rng: np.random.Generator) -> None:
    """Continuous values fill about a hundred bins, none with more than 3 % of them, from minimum to maximum."""
    values = rng.normal(size=20_000)
    bins = numeric_bins(values)
    counts = bins.count(values)
    assert (bins.edges[0], bins.edges[-1]) == (values.min(), values.max())
    assert 0.6 * NUMERIC_BINS <= len(bins.edges) - 1 <= 1.5 * NUMERIC_BINS
    assert counts.max() < 0.03 * len(values)
    assert counts[bins.regular].sum() == len(values)


def test_a_heavy_value_has_its_own_bin(rng: np.random.Generator) -> None:
    """A value that most rows share is not lumped with its neighbours."""
    values = np.concatenate([np.zeros(6_000), rng.exponential(size=4_000)])
    bins = numeric_bins(values)
    counts = bins.count(values)
    assert counts.max() == 6_000


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], [np.inf, -np.inf, np.nan]])
def test_a_column_without_finite_values_still_has_bins(values: list[float]) -> None:
    """An empty column has the one bin [0, 0]; any other value is outside it."""
    bins = numeric_bins(np.array(values))
    counts = bins.count(np.array([0.0, 1.0, -1.0, np.nan, np.inf]))
    assert counts.tolist() == [1, 1, 1, 1, 1]


def test_a_constant_column_counts_its_value_inside() -> None:
    """A constant has a bin of its own; anything else is under or over."""
    bins = numeric_bins(np.full(10, 3.0))
    counts = bins.count(np.array([3.0, 2.0, 4.0]))
    assert [counts[bins.underflow], counts[bins.overflow], counts[bins.regular].sum()] == [1, 1, 1]


def test_rare_categories_are_known_but_share_a_slot() -> None:
    """The most frequent texts have slots, the rest of the reference's are `other`, and a new one is unseen."""
    texts = [f"c{i}" for i in range(TOP_CATEGORIES + 5) for _ in range(1000 - i)]
    bins = category_bins(pa.chunked_array([texts]))
    assert len(bins.categories) == TOP_CATEGORIES
    counts = bins.count(pa.array(["c0", f"c{TOP_CATEGORIES + 1}", "new", None]))
    assert [counts[0], counts[bins.other], counts[bins.unseen], counts[bins.missing]] == [1, 1, 1, 1]


def test_edges_belong_to_the_upper_bin_but_the_last() -> None:
    """Bins are half-open, and the last one holds its upper edge."""
    bins = NumericBins((0.0, 1.0, 2.0))
    assert bins.count(np.array([0.0, 1.0, 2.0])).tolist() == [0, 1, 2, 0, 0, 0]


def test_ties_of_categories_are_broken_by_text() -> None:
    """Equally frequent categories come in the order of their texts, whatever the order of the rows."""
    for order in (["b", "a"], ["a", "b"]):
        assert category_bins(pa.chunked_array([order])) == CategoryBins(("a", "b"))
