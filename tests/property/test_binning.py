"""Counting many columns and groups at once gives what counting each value by itself gives."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from mlhealth.profile.binning import Binning
from mlhealth.profile.bins import NumericBins

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
    columns = [NumericBins(tuple(dict.fromkeys(e)) if len(set(e)) > 1 else e[:2]) for e in edges]
    starts = np.cumsum([0, *(c.size for c in columns)])[:-1].tolist()
    row = np.array([*values, *(v for e in edges for v in e)])
    matrix = np.tile(row, (len(columns), 1))
    found = Binning(columns, starts).slots(matrix, ~np.isfinite(matrix))
    for bins, start, slots in zip(columns, starts, found, strict=True):
        assert (slots - start).tolist() == bins.slots(row).tolist()
