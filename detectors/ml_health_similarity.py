"""The ML Health similarity score of a column, as published."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class MlHealthSimilarity(Detector):
    """1 - min(1, sum p q / sum p^2): how unlikely window values are under the training histogram; 0 to 1.

    Ghanta et al. (2019), ML Health: Taking the pulse of ML pipelines in production, arXiv:1902.02808. The similarity
    itself is 1 - statistic. Where the kept categories do not add up to all, the rest acts as one more cell, as the
    paper's correction for left-over mass does.

    Its blind spots, each held by a test: a uniform reference gives 0 whatever the window inside its range; mass moved
    onto the reference's mode gives 0; it is not symmetric; it knows no sample size; it sees no missing values.
    `symmetric_similarity` mends the first three.

    >>> from mlhealth.detectors.testing import numeric
    >>> float(MlHealthSimilarity().statistic(numeric([30, 10]), numeric([10, 30]))[0]).__round__(3)
    0.4
    """

    name = "ml_health_similarity"

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        p, q = reference.shares, window.shares
        sums = reference.layout.sums
        own = sums(p * p)
        similarity = np.minimum(sums(p * q) / np.where(own > 0.0, own, 1.0), 1.0)
        return np.where(reference.comparable & window.comparable, 1.0 - similarity, np.nan)
