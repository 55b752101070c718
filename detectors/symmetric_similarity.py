"""A symmetric form of the ML Health similarity score, on the same scale."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class SymmetricSimilarity(Detector):
    """1 - 2 sum p q / (sum p^2 + sum q^2); 0 only where p = q, 1 without overlap.

    The Dice-Sorensen form of the score of Ghanta et al. (2019): same scale, but symmetric, and blind neither to a
    uniform reference nor to mass on the mode.

    >>> from mlhealth.detectors.testing import numeric
    >>> float(SymmetricSimilarity().statistic(numeric([30, 10]), numeric([10, 30]))[0]).__round__(3)
    0.4
    """

    name = "symmetric_similarity"

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        p, q = reference.shares, window.shares
        sums = reference.layout.sums
        own = sums(p * p) + sums(q * q)
        similarity = 2.0 * sums(p * q) / np.where(own > 0.0, own, 1.0)
        known = reference.comparable & window.comparable
        return np.where(known, np.clip(1.0 - similarity, 0.0, 1.0), np.nan)
