"""Wasserstein distance between reference and window."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import Cells, Floats


class Wasserstein(Detector):
    """Area between the two cumulative distributions, in the column's own unit: how far the mean value has to travel.

    Kantorovich (1942), Vaserstein (1969). A cell's values are taken to lie where the reference's do on average.
    Values outside the reference's range are taken to lie at its ends, which understates how far they went; that they
    are outside is `out_of_range`'s to say. The effect is in standard deviations of the reference.

    >>> from mlhealth.detectors.testing import numeric
    >>> float(Wasserstein().statistic(numeric([10, 0, 0]), numeric([0, 0, 10]))[0])
    2.0
    """

    name = "wasserstein"
    categorical = False

    def statistic(self, reference: Cells, window: Cells) -> Floats:
        layout = reference.layout
        known = reference.comparable & window.comparable
        difference = (reference.shares - window.shares) * known[..., layout.column]
        # Both sides of a column sum to 1, so one running sum over all columns starts each of them at 0.
        gaps = np.abs(np.cumsum(difference, axis=-1))
        step = np.diff(layout.position, append=0.0)
        step[np.append(layout.starts[1:], len(step)) - 1] = 0.0
        return np.where(known, layout.sums(gaps * step), np.nan)

    def effect(self, reference: Cells, window: Cells, excess: Floats) -> Floats:
        layout = reference.layout
        mean = layout.sums(reference.shares * layout.position)
        variance = layout.sums(reference.shares * (layout.position - mean[layout.column]) ** 2)
        return excess / np.sqrt(np.where(variance > 0.0, variance, 1.0))
