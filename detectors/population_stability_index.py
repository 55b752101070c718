"""Population stability index between reference and window."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class PopulationStabilityIndex(Detector):
    """sum (p - q) ln(p / q), of shares with half a count added to each cell.

    Jeffreys' divergence (1946), as credit scoring uses it (Siddiqi 2006). The customary limits 0.1 and 0.25 hold for
    about ten bins and many rows; here the null sets the threshold.

    >>> from mlhealth.detectors.testing import numeric
    >>> psi = PopulationStabilityIndex().statistic(numeric([500, 500]), numeric([900, 100]))
    >>> float(psi[0]).__round__(2)
    0.88
    """

    name = "population_stability_index"

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        p, q = reference.smoothed, window.smoothed
        index = reference.layout.sums((p - q) * np.log(p / q))
        return np.where(reference.comparable & window.comparable, index, np.nan)
