"""Kolmogorov-Smirnov distance between reference and window."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class KolmogorovSmirnov(Detector):
    """Largest difference of the two cumulative distributions, read at the bins' edges; 0 to 1.

    Never above the exact distance, and below it by at most the share of the fullest bin. Kolmogorov (1933), Smirnov
    (1939).

    >>> from mlhealth.detectors.testing import numeric
    >>> float(KolmogorovSmirnov().statistic(numeric([10, 10, 0]), numeric([5, 10, 5]))[0])
    0.25
    """

    name = "kolmogorov_smirnov"
    categorical = False
    floor = 0.01

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        known = reference.comparable & window.comparable
        difference = (reference.shares - window.shares) * known[..., reference.layout.column]
        # Both sides of a column sum to 1, so one running sum over all columns starts each of them at 0.
        gaps = np.abs(np.cumsum(difference, axis=-1))
        return np.where(known, np.minimum(reference.layout.maxima(gaps), 1.0), np.nan)
