"""Jensen-Shannon distance between reference and window."""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class JensenShannon(Detector):
    """sqrt of the mean Kullback-Leibler divergence (base 2) of p and q from m = (p + q) / 2; 0 to 1.

    Lin (1991), Divergence measures based on the Shannon entropy; its root is a metric (Endres and Schindelin 2003).

    >>> from mlhealth.detectors.testing import numeric
    >>> round(float(JensenShannon().statistic(numeric([10, 10]), numeric([20, 0]))[0]), 4)
    0.5579
    """

    name = "jensen_shannon"
    floor = 0.02

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        p, q = reference.shares, window.shares
        both = p + q
        terms = np.asarray(xlogy(p, p) + xlogy(q, q) - xlogy(both, both), dtype=np.float64)
        divergence = 1.0 + reference.layout.sums(terms) / np.log(4.0)
        known = reference.comparable & window.comparable
        return np.where(known, np.sqrt(np.clip(divergence, 0.0, 1.0)), np.nan)
