"""One-column counts written by hand, for examples in docstrings and for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlhealth.detectors.cells import CellLayout, Cells
from mlhealth.profile.bins import Bins, CategoryBins, NumericBins
from mlhealth.profile.window_profile import ProfileLayout, WindowProfile
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task


def numeric(
    counts: Sequence[int], *, below: int = 0, above: int = 0, missing: int = 0, non_finite: int = 0
) -> Cells:
    """Return the cells of one numeric column with bins [0, 1), [1, 2), ... that hold `counts`."""
    bins = NumericBins(tuple(float(e) for e in range(len(counts) + 1)))
    return _cells(bins, [below, *counts, above, missing, non_finite])


def categorical(counts: Sequence[int], *, unseen: int = 0, missing: int = 0) -> Cells:
    """Return the cells of one categorical column with categories c0, c1, ... that have `counts`."""
    return _cells(CategoryBins(tuple(f"c{i}" for i in range(len(counts)))), [*counts, 0, unseen, missing])


def _cells(bins: Bins, slots: Sequence[int]) -> Cells:
    kind = FeatureType.NUMERIC if isinstance(bins, NumericBins) else FeatureType.CATEGORICAL
    feature = Feature("x", kind, Storage.FLOAT if kind is FeatureType.NUMERIC else Storage.STRING)
    schema = ModelSchema("m", "1", Task.REGRESSION, (feature,), "y", Storage.FLOAT)
    layout = ProfileLayout(schema, (("x", bins),))
    empty = WindowProfile.empty(layout)
    counts = np.array(slots, dtype=np.int64)
    profile = WindowProfile(layout, int(counts.sum()), counts, empty.moments, None)
    return Cells.of(profile, CellLayout.of(profile))
