"""The contract of detectors that look at whole rows: multivariate drift, from the bounded samples of two windows.

They see what no column shows by itself: columns that no longer go together. They cost milliseconds, not microseconds,
whatever the window's size. In reports, thresholds come from nulls fitted on windows of the reference at the real window
size (`sample_nulls.py`); `compare` tests two samples by themselves, without a fitted null.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.detectors.cells import Floats
from mlhealth.profile.bins import CategoryBins, NumericBins
from mlhealth.profile.window_profile import PREDICTED, ProfileLayout, WindowProfile

FEWEST_ROWS = 50
"""Windows with fewer sampled rows are not judged."""
MOST_ROWS = 2_000
"""Rows used of each sample at most."""
ALPHA = 0.01
"""Level of the test of each detector."""


@dataclass(frozen=True)
class Verdict:
    """What a detector says of two samples: larger statistics are farther; the threshold is that of level ALPHA."""

    statistic: float
    threshold: float
    p_value: float


class SampleDetector(ABC):
    """One method; stateless."""

    name: ClassVar[str]
    """Name as in the literature, snake case, and as users write it."""
    draws: ClassVar[int] = 60
    """Windows drawn of each size to fit its null."""

    @abstractmethod
    def statistic(self, reference: Floats, window: Floats, rng: np.random.Generator) -> float:
        """Return how far the rows of the window (n, d) lie from those of the reference (m, d); larger is farther."""

    @abstractmethod
    def compare(self, reference: Floats, window: Floats, rng: np.random.Generator) -> Verdict:
        """Return how far the rows of the window (n, d) lie from those of the reference (m, d).

        Columns are ranks of the reference mapped to about [-1, 1] (see `encode`). Both samples have at least
        FEWEST_ROWS rows.
        """


def encode(sample: pa.Table, reference: WindowProfile) -> Floats:
    """Return sampled rows as numbers, (n, d): each value's mid-rank among the reference's bins, from -1 to 1.

    Missing values become 0. Ranks are unmoved by outliers and by any change of unit that both sides share.
    """
    features = [name for name, _ in reference.layout.columns if name != PREDICTED]
    rows = min(sample.num_rows, MOST_ROWS)
    # The sample is sorted by a hash of the event key: its first rows are a random sample too.
    table = sample.slice(0, rows)
    columns = [_ranks(table.column(name), name, reference) for name in features]
    return np.column_stack(columns) if columns else np.zeros((rows, 0))


def _ranks(values: pa.ChunkedArray, name: str, reference: WindowProfile) -> Floats:
    layout: ProfileLayout = reference.layout
    bins, counts = layout.bins[name], reference.column(name)
    if isinstance(bins, NumericBins):
        slots = bins.slots(values.to_numpy().astype(np.float64))
        present = len(bins.edges) + 1
    else:
        assert isinstance(bins, CategoryBins)
        slots = bins.slots(values)
        present = bins.size - 1
    shares = counts[:present] / max(int(counts[:present].sum()), 1)
    middle = 2.0 * (np.cumsum(shares) - shares / 2.0) - 1.0
    absent: NDArray[np.float64] = np.zeros(bins.size - present)
    return np.concatenate([middle, absent])[slots]


def permutation_verdict(statistic: float, drawn: Floats) -> Verdict:
    """Return the verdict of a statistic, given those of permuted samples (draws,)."""
    p = (1.0 + float(np.sum(drawn >= statistic))) / (1.0 + len(drawn))
    middle, spread = float(np.mean(drawn)), float(np.std(drawn))
    # So few draws do not reach the level's own quantile: a normal tail does, and never below the largest draw.
    threshold = max(middle + 2.326 * spread, float(np.quantile(drawn, 1.0 - ALPHA)))
    return Verdict(statistic, threshold, p)
