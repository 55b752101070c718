"""Maximum mean discrepancy between window rows and reference rows."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import pdist

from mlhealth.detectors.cells import Floats
from mlhealth.detectors.sample_base import SampleDetector, Verdict, permutation_verdict

FEATURES = 100
"""Random Fourier features that stand for the Gaussian kernel (Rahimi and Recht 2007)."""
DRAWS = 200


class MaximumMeanDiscrepancy(SampleDetector):
    """Distance of the two samples' mean embeddings under a Gaussian kernel whose width is the median distance.

    Gretton et al. (2012), A kernel two-sample test. The null comes from permuting the rows of both samples.
    """

    name = "maximum_mean_discrepancy"

    def statistic(self, reference: Floats, window: Floats, rng: np.random.Generator) -> float:
        embedded = _embedded(reference, window, rng)
        m = len(reference)
        return float(np.linalg.norm(embedded[m:].mean(axis=0) - embedded[:m].mean(axis=0)))

    def compare(self, reference: Floats, window: Floats, rng: np.random.Generator) -> Verdict:
        embedded = _embedded(reference, window, rng)
        n, m = len(window), len(reference)
        sides = np.tile(np.r_[np.full(m, -1.0 / m), np.full(n, 1.0 / n)], (DRAWS + 1, 1))
        sides[1:] = rng.permuted(sides[1:], axis=1)
        distances = np.linalg.norm(sides @ embedded, axis=1)
        return permutation_verdict(float(distances[0]), distances[1:])


def _embedded(reference: Floats, window: Floats, rng: np.random.Generator) -> Floats:
    """Return the random Fourier features of the reference's rows and then of the window's."""
    width = float(np.median(pdist(reference[:300]))) or 1.0
    rows = np.vstack([reference, window])
    frequency = rng.normal(size=(rows.shape[1], FEATURES)) / width
    phase = rng.uniform(0.0, 2.0 * np.pi, FEATURES)
    return np.asarray(np.sqrt(2.0 / FEATURES) * np.cos(rows @ frequency + phase))
