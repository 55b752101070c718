"""Labels as groups: the classes, or for regression bands of the true value, narrower where it is extreme."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.calibration import fit_calibrator
from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
LEVELS = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])
"""Quantiles of the true value at which its bands meet: a mix of labels that moved shows most at the ends."""
LEAST = 20
"""Reference rows that a band needs."""
CELLS = 24
"""Cells of the prediction from which the band is guessed."""


@dataclass(frozen=True)
class LabelGroups:
    """Each reference row's group (n,), its `shares` (k,), and P(group | what the model answered) for other rows."""

    group: NDArray[np.int64]
    shares: Floats

    @classmethod
    def of(cls, reference: Rows) -> LabelGroups:
        """Group the labels of reference rows."""
        assert reference.label is not None
        if reference.schema.is_classification:
            group, k = reference.label.astype(np.int64), len(reference.schema.classes)
        else:
            enough = np.minimum(LEVELS, 1.0 - LEVELS) * len(reference) >= LEAST
            edges = np.unique(np.quantile(reference.label, LEVELS[enough]))
            group, k = np.searchsorted(edges, reference.label, side="right").astype(np.int64), len(edges) + 1
        return cls(group, np.bincount(group, minlength=k) / len(group))

    def posterior(self, explained: Rows, window: Rows) -> Floats:
        """Return P(group | answer) of window rows (m, k), as `explained` reference rows have it."""
        if explained.schema.is_classification:
            calibrator = fit_calibrator(explained, self.group)
            return calibrator.posterior(window.prediction.astype(np.int64), window.scores)
        edges = np.unique(np.quantile(explained.prediction, np.linspace(0, 1, CELLS + 1)[1:-1]))
        joint = np.zeros((len(edges) + 1, len(self.shares)))
        np.add.at(joint, (np.searchsorted(edges, explained.prediction, side="right"), self.group), 1.0)
        joint += 2.0 * self.shares
        cell = np.searchsorted(edges, window.prediction, side="right")
        return np.asarray((joint / joint.sum(1, keepdims=True))[cell], np.float64)
