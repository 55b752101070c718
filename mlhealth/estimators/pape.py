"""PAPE: probabilistic adaptive performance estimation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.calibration import ClassCalibrator, choose_calibrator, fit_calibrator
from mlhealth.estimators.domain import domain_weights
from mlhealth.estimators.kept import KeptRows
from mlhealth.estimators.posterior import Posterior, PosteriorEstimator
from mlhealth.estimators.reference import Reference, checked, labels
from mlhealth.estimators.rows import Rows


@dataclass(frozen=True)
class PAPE(PosteriorEstimator):
    """CBPE with the scores calibrated anew for each window, on reference rows weighted to look like it.

    w(x) = p_window(x) / p_reference(x) from a domain classifier; isotonic calibration with these weights;
    metrics as in CBPE. Where the window cannot be told from the reference this is CBPE.

    Source: Białek et al., "Estimating model performance under covariate shift without labels", arXiv
    2401.08348.

    Assumes covariate shift within the reference's support. Fails as importance weighting does where
    supports part, and under concept drift.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> method = PAPE.fit(FitInputs(synthetic_rows(2000).rows, ("accuracy",)))
    >>> found = method.estimate(synthetic_rows(1000, seed=1, shift=0.5).rows)["accuracy"]
    >>> 0.7 < found.lower < found.value < found.upper < 0.9
    True
    """

    name: ClassVar[str] = "pape"
    reference: Reference
    kept: KeptRows
    calibrator: ClassCalibrator
    seed: int

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        rows = checked(cls.name, inputs)
        calibrator = choose_calibrator(rows, labels(rows), np.random.default_rng(inputs.seed))
        return cls(Reference.of(rows, tuple(inputs.metrics)), KeptRows.of(rows), calibrator, inputs.seed)

    def posterior(self, window: Rows) -> Posterior:
        domain = domain_weights(self.kept.matrix, self.kept.encoded(window), self.seed)
        calibrator = self.calibrator
        if domain.shifted:
            reference = self.kept.rows(window.schema)
            calibrator = fit_calibrator(reference, labels(reference), domain.weight)
        found = calibrator.posterior(window.prediction.astype(np.int64), window.scores)
        return Posterior(found, domain.effective, *domain.verdict)

    def state(self) -> FittedState:
        state = self.kept.state({"reference": self.reference.params(), "seed": self.seed})
        return replace(state, arrays={**state.arrays, **self.calibrator.arrays()})

    @classmethod
    def from_state(cls, state: FittedState) -> Self:
        reference = Reference.of_params(state.params["reference"])
        calibrator = ClassCalibrator.of_arrays(state.arrays)
        return cls(reference, KeptRows.of_state(state), calibrator, int(state.params["seed"]))
