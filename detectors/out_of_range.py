"""How often a numeric column lies outside the reference's range."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class OutOfRange(Detector):
    """Share of present values below the first or above the last edge, beyond the reference's own such share; 0 to 1.

    >>> from mlhealth.detectors.testing import numeric
    >>> float(OutOfRange().statistic(numeric([6, 4]), numeric([3, 2], above=5))[0])
    0.5
    """

    name = "out_of_range"
    categorical = False
    floor = 0.005

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        layout = window.layout
        share = layout.sums(window.shares * layout.outside)
        usual = layout.sums(reference.shares * layout.outside)
        return np.where(window.comparable, np.maximum(share - usual, 0.0), np.nan)
