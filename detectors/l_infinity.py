"""L-infinity distance between reference and window."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class LInfinity(Detector):
    """Largest difference of any cell's share, max |p - q|; 0 to 1.

    >>> from mlhealth.detectors.testing import categorical
    >>> float(LInfinity().statistic(categorical([5, 3, 2]), categorical([2, 6, 2]))[0]).__round__(2)
    0.3
    """

    name = "l_infinity"
    floor = 0.01

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        gap = reference.layout.maxima(np.abs(reference.shares - window.shares))
        return np.where(reference.comparable & window.comparable, gap, np.nan)
