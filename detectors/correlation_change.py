"""How far the rank correlations of the columns have moved."""

from __future__ import annotations

import numpy as np

from mlhealth.detectors.cells import Floats
from mlhealth.detectors.sample_base import SampleDetector, Verdict, permutation_verdict

DRAWS = 100


class CorrelationChange(SampleDetector):
    """Root mean square difference of the two samples' rank correlations over all pairs of columns; 0 to 2.

    Sees rows that were joined wrongly although every column by itself is as ever. The null comes from permuting the
    rows of both samples.
    """

    name = "correlation_change"

    def statistic(self, reference: Floats, window: Floats, rng: np.random.Generator) -> float:
        return _change(reference, window)

    def compare(self, reference: Floats, window: Floats, rng: np.random.Generator) -> Verdict:
        rows = np.vstack([reference, window])
        m = len(reference)
        drawn = []
        for _ in range(DRAWS):
            order = rng.permutation(len(rows))
            drawn.append(_change(rows[order[:m]], rows[order[m:]]))
        return permutation_verdict(_change(reference, window), np.array(drawn))


def _change(a: Floats, b: Floats) -> float:
    difference = _correlation(a) - _correlation(b)
    pairs = difference[np.triu_indices(difference.shape[0], 1)]
    return float(np.sqrt(np.mean(pairs * pairs))) if len(pairs) else 0.0


def _correlation(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    scaled = centred / np.where(length > 0.0, length, 1.0)
    return np.asarray(scaled.T @ scaled)
