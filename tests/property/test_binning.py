"""Counting many columns and groups at once gives what counting each value by itself gives."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from mlhealth.profile.binning import Binning
from mlhealth.profile.bins import NumericBins
from mlhealth.profile.ordering import Ordering

EDGES = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=60).map(
    lambda found: tuple(sorted(found))
)
VALUES = st.lists(st.floats(), min_size=0, max_size=40)


@given(st.lists(EDGES, min_size=1, max_size=4), VALUES)
@example([(0.0, 0.0)], [0.0, -1.0, 1e-300, float("nan"), float("inf")])
@example([(-1.7e308, 0.0, 1.7e308)], [1.79e308, -1.79e308, 0.0])
def test_slots_are_those_of_each_column_by_itself(
    edges: list[tuple[float, ...]], values: list[float]
) -> None:
    """The pass over many columns puts every value, edges and odd ones too, where the binary search puts it."""
    columns, starts = placed(edges)
    row = np.array([*values, *(v for e in edges for v in e)])
    matrix = np.tile(row, (len(columns), 1))
    found = Binning(columns, starts).slots(matrix, ~np.isfinite(matrix))
    for bins, start, slots in zip(columns, starts, found, strict=True):
        assert (slots - start).tolist() == bins.slots(row).tolist()


@given(st.lists(EDGES, min_size=1, max_size=4), VALUES)
@example([(0.0, 0.0)], [0.0, -0.0, -1.0, 1e-300, float("nan"), float("inf"), float("-inf")])
@example([(-1.7e308, 0.0, 1.7e308)], [1.79e308, -1.79e308, 0.0])
@example([(0.0, 1.0)], [])
def test_sorting_counts_what_slots_count(edges: list[tuple[float, ...]], values: list[float]) -> None:
    """Sorted values give the counts of their slots, and the moments of those that are finite."""
    columns, starts = placed(edges)
    row = np.array([*values, *(v for e in edges for v in e)])
    counts = np.zeros(sum(c.size for c in columns), dtype=np.int64)
    moments = np.tile([0.0, 0.0, np.inf, -np.inf], (len(columns), 1))
    with np.errstate(over="ignore", invalid="ignore"):
        Ordering(columns, starts).add([row] * len(columns), counts, moments)
        finite = row[np.isfinite(row)]
        squares = float((finite * finite).sum())
        near = 1e-9 * float(np.abs(finite).sum())
    for bins, start, moment in zip(columns, starts, moments, strict=True):
        assert counts[start : start + bins.size].tolist() == bins.count(row).tolist()
        assert moment[2:].tolist() == [finite.min(), finite.max()]
        assert near == np.inf or abs(moment[0] - finite.sum()) <= near
        assert moment[1] == squares or np.isclose(moment[1], squares, rtol=1e-9)


def placed(edges: list[tuple[float, ...]]) -> tuple[list[NumericBins], list[int]]:
    """Return bins of these edges, and where the slots of each begin."""
    columns = [NumericBins(tuple(dict.fromkeys(e)) if len(set(e)) > 1 else e[:2]) for e in edges]
    return columns, np.cumsum([0, *(c.size for c in columns)])[:-1].tolist()
