"""Root of the summed squared differences of two histograms, as the ML Health system compared canaries."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class HistogramRmse(Detector):
    """sqrt(sum (p - q)^2), not divided by the number of bins; 0 to sqrt(2). Ghanta et al. (2019), arXiv:1902.02808.

    >>> from mlhealth.detectors.testing import categorical
    >>> float(HistogramRmse().statistic(categorical([10, 0]), categorical([0, 10]))[0]).__round__(4)
    1.4142
    """

    name = "histogram_rmse"
    floor = 0.01

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        difference = reference.shares - window.shares
        distance = np.sqrt(reference.layout.sums(difference * difference))
        return np.where(reference.comparable & window.comparable, distance, np.nan)
