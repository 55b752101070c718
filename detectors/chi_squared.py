"""Pearson's chi-squared statistic of homogeneity between reference and window."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class ChiSquared(Detector):
    """Sum over cells of (observed - expected)^2 / expected, of the 2 x k table of reference and window counts.

    Pearson (1900). Its null is taken from simulated windows like every detector's, so sparse cells need no merging.
    The effect is Cohen's w, corrected for its mean without drift.

    >>> from mlhealth.detectors.testing import numeric
    >>> float(ChiSquared().statistic(numeric([10, 10]), numeric([20, 0]))[0]).__round__(3)
    13.333
    """

    name = "chi_squared"

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        column = reference.layout.column
        n, m = reference.present, window.present
        # With row totals n and m, the two rows' terms of a cell add up to this one.
        across = reference.counts * np.sqrt(_ratio(m, n))[..., column]
        across = across - window.counts * np.sqrt(_ratio(n, m))[..., column]
        both = reference.counts + window.counts
        terms = np.divide(across * across, both, out=np.zeros_like(across), where=both > 0.0)
        known = reference.comparable & window.comparable
        return np.where(known, reference.layout.sums(terms), np.nan)

    def effect(self, reference: Cells, window: Cells, excess: Floats) -> Floats:
        return np.sqrt(excess / np.maximum(reference.present + window.present, 1.0))


def _ratio(a: Floats, b: Floats) -> Floats:
    return a / np.maximum(b, 1.0)
