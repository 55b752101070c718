"""Hellinger distance between reference and window."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class Hellinger(Detector):
    """sqrt(1 - sum sqrt(p q)); 0 to 1. Hellinger (1909).

    >>> from mlhealth.detectors.testing import numeric
    >>> float(Hellinger().statistic(numeric([10, 10]), numeric([20, 0]))[0]).__round__(4)
    0.5412
    """

    name = "hellinger"
    floor = 0.02

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        overlap = reference.layout.sums(np.sqrt(reference.shares * window.shares))
        known = reference.comparable & window.comparable
        return np.where(known, np.sqrt(np.clip(1.0 - overlap, 0.0, 1.0)), np.nan)
