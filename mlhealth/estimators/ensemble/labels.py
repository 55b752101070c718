"""Labels as a few groups: the classes, or for regression the fifths of the true value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.calibration import fit_calibrator
from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
GROUPS = 5
CELLS = 12


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
            edges = np.unique(np.quantile(reference.label, np.linspace(0, 1, GROUPS + 1)[1:-1]))
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
