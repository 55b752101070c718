"""Kullback-Leibler divergence of the window from the reference."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class KullbackLeibler(Detector):
    """sum q ln(q / p) in nats, of shares with half a count added to each cell, so that an empty one is not infinite.

    Kullback and Leibler (1951), On information and sufficiency.

    >>> from mlhealth.detectors.testing import numeric
    >>> float(KullbackLeibler().statistic(numeric([500, 500]), numeric([900, 100]))[0]).__round__(2)
    0.37
    """

    name = "kullback_leibler"

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        p, q = reference.smoothed, window.smoothed
        divergence = np.maximum(reference.layout.sums(q * np.log(q / p)), 0.0)
        return np.where(reference.comparable & window.comparable, divergence, np.nan)
