"""CBPE: confidence-based performance estimation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.calibration import ClassCalibrator, choose_calibrator
from mlhealth.estimators.posterior import Posterior, PosteriorEstimator
from mlhealth.estimators.reference import Reference, checked, labels
from mlhealth.estimators.rows import Rows


@dataclass(frozen=True)
class CBPE(PosteriorEstimator):
    """Calibrated scores as class probabilities; metrics are their expectations under them.

    Per class, an isotonic map from score to frequency is fitted on the reference, unless the scores do better
    as they are by cross-fitted log loss. Where predictions do not follow from the scores each predicted class
    is calibrated alone; without scores a class has its frequency given the prediction. The cells of the
    confusion matrix are Poisson-binomial sums, which gives the sampling part of the interval.

    Source: NannyML's CBPE; Kivimäki et al., "Confidence-based performance estimation", 2025, arXiv
    2505.05295.

    Assumes that P(label | score) is what it was in the reference. Fails without a sign of it under concept
    drift, where inputs are broken (models often become more sure), and in regions that the reference hardly
    covers.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> method = CBPE.fit(FitInputs(synthetic_rows(2000).rows, ("accuracy",)))
    >>> found = method.estimate(synthetic_rows(1000, seed=1, shift=0.5).rows)["accuracy"]
    >>> 0.7 < found.lower < found.value < found.upper < 0.9
    True
    """

    name: ClassVar[str] = "cbpe"
    reference: Reference
    calibrator: ClassCalibrator

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        rows = checked(cls.name, inputs)
        calibrator = choose_calibrator(rows, labels(rows), np.random.default_rng(inputs.seed))
        return cls(Reference.of(rows, tuple(inputs.metrics)), calibrator)

    def posterior(self, window: Rows) -> Posterior:
        found = self.calibrator.posterior(window.prediction.astype(np.int64), window.scores)
        return Posterior(found, self.reference.rows)

    def state(self) -> FittedState:
        return FittedState({"reference": self.reference.params()}, self.calibrator.arrays())

    @classmethod
    def from_state(cls, state: FittedState) -> Self:
        return cls(Reference.of_params(state.params["reference"]), ClassCalibrator.of_arrays(state.arrays))
