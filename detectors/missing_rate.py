"""How much more often values are missing than in the reference."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class MissingRate(Detector):
    """Absolute difference of the shares of missing values, 0 to 1: a rate that falls is a change upstream too.

    >>> from mlhealth.detectors.testing import numeric
    >>> float(MissingRate().statistic(numeric([10], missing=0), numeric([5], missing=5))[0])
    0.5
    """

    name = "missing_rate"
    missing = True
    floor = 0.01

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        return np.abs(rate(window.missing, window) - rate(reference.missing, reference))


def rate(count: Floats, cells: Cells) -> Floats:
    """Return `count` (..., d) as a share of each column's rows; NaN where there are none."""
    return np.where(cells.rows > 0.0, count / np.maximum(cells.rows, 1.0), np.nan)
