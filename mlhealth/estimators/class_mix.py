"""What methods that find a window's class mix keep: labelled reference rows, and calibrated scores to fall back on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.calibration import ClassCalibrator, choose_calibrator
from mlhealth.estimators.kept import KeptRows
from mlhealth.estimators.label_shift import LabelShiftFit, label_shift_fit
from mlhealth.estimators.reference import Reference, checked, labels


@dataclass(frozen=True)
class ClassMixEstimator(Estimator):
    """Fits, stores and restores a method that weights reference rows by class; how, is the method's own."""

    reference: Reference
    kept: KeptRows
    calibrator: ClassCalibrator

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        rows = checked(cls.name, inputs)
        calibrator = choose_calibrator(rows, labels(rows), np.random.default_rng(inputs.seed))
        return cls(Reference.of(rows, tuple(inputs.metrics)), KeptRows.of(rows), calibrator)

    @property
    def label(self) -> NDArray[np.int64]:
        """The class of each kept row, (n_r,)."""
        return self.kept.label.astype(np.int64)

    def explains(self, ratio: NDArray[np.float64], encoded: NDArray[np.float64]) -> LabelShiftFit:
        """Return how well weighting the reference by class (k,) accounts for a window's encoded rows (n, d)."""
        return label_shift_fit(self.kept.matrix, ratio[self.label], encoded)

    def state(self) -> FittedState:
        state = self.kept.state({"reference": self.reference.params()})
        return replace(state, arrays={**state.arrays, **self.calibrator.arrays()})

    @classmethod
    def from_state(cls, state: FittedState) -> Self:
        reference = Reference.of_params(state.params["reference"])
        return cls(reference, KeptRows.of_state(state), ClassCalibrator.of_arrays(state.arrays))
