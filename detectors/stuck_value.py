"""Whether a column has gathered in one value."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class StuckValue(Detector):
    """Largest gain in share of any one cell over the reference; 1 where a varied column holds one value only.

    Sees the stuck sensor that the ML Health similarity is blind to. A column that is constant in the reference
    cannot be stuck.

    >>> from mlhealth.detectors.testing import numeric
    >>> float(StuckValue().statistic(numeric([25, 50, 25]), numeric([0, 80, 0]))[0])
    0.5
    """

    name = "stuck_value"
    floor = 0.05

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        gain = reference.layout.maxima(window.shares - reference.shares)
        return np.where(reference.comparable & window.comparable, np.maximum(gain, 0.0), np.nan)
