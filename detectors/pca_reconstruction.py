"""How badly the reference's principal components reconstruct window rows."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.cells import Floats
from mlhealth.detectors.sample_base import SampleDetector, Verdict, permutation_verdict

KEPT = 0.65
"""Share of the reference's variance that the kept components explain."""
DRAWS = 400


class PcaReconstruction(SampleDetector):
    """Absolute difference of the mean reconstruction errors of window and reference, by the reference's components.

    NannyML's multivariate drift is of this kind. Components are learnt from one half of the reference and the errors
    compared with the other, so that the reference is not flattered; the null comes from permuting the errors.
    """

    name = "pca_reconstruction"

    def statistic(self, reference: Floats, window: Floats, rng: np.random.Generator) -> float:
        before, after = _both(reference, window, rng)
        return abs(float(after.mean() - before.mean()))

    def compare(self, reference: Floats, window: Floats, rng: np.random.Generator) -> Verdict:
        before, after = _both(reference, window, rng)
        errors = np.concatenate([before, after])
        n, m = len(after), len(before)
        sides = np.tile(np.r_[np.full(m, -1.0 / m), np.full(n, 1.0 / n)], (DRAWS + 1, 1))
        sides[1:] = rng.permuted(sides[1:], axis=1)
        differences = np.abs(sides @ errors)
        return permutation_verdict(float(differences[0]), differences[1:])


def _both(reference: Floats, window: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the reconstruction errors of the half of the reference that was not learnt from, and of the window."""
    order = rng.permutation(len(reference))
    learn, rest = reference[order[: len(order) // 2]], reference[order[len(order) // 2 :]]
    mean = learn.mean(axis=0)
    _, values, components = np.linalg.svd(learn - mean, full_matrices=False)
    explained = np.cumsum(values**2) / max(float(np.sum(values**2)), 1e-12)
    kept = components[: int(np.searchsorted(explained, KEPT)) + 1]
    return _errors(rest - mean, kept), _errors(window - mean, kept)


def _errors(centred: Floats, components: Floats) -> Floats:
    return np.asarray(np.linalg.norm(centred - centred @ components.T @ components, axis=1))
