"""How often a column holds a category that the reference never had."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class UnseenCategories(Detector):
    """Share of present values whose category the reference does not know; 0 to 1.

    The null allows for what the reference's rare categories foretell (Good 1953): where many were seen only once,
    new ones are to be expected.

    >>> from mlhealth.detectors.testing import categorical
    >>> float(UnseenCategories().statistic(categorical([6, 4]), categorical([3, 2], unseen=5))[0])
    0.5
    """

    name = "unseen_categories"
    numeric = False
    floor = 0.005

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        share = window.layout.sums(window.shares * window.layout.unseen)
        return np.where(window.comparable, share, np.nan)
