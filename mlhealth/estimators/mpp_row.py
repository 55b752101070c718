"""MPP on rows: a second model predicts, row by row, where the first one errs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.calibration import ClassCalibrator, choose_calibrator
from mlhealth.estimators.error_bins import ErrorBins, fit_error_bins
from mlhealth.estimators.error_model import ErrorModel, fit_error_model
from mlhealth.estimators.intervals import Answering, class_estimates, loss_estimates
from mlhealth.estimators.made_up import MadeUp, joined, made_up_windows
from mlhealth.estimators.reference import FEW_ERRORS, Reference, checked, labels
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.records import EstimateStatus, PerformanceEstimate
from mlhealth.schema.model_schema import Task

COPIES = MadeUp(windows=16, rows=300)
"""Shifted and broken copies of reference rows that the error model also learns from."""


@dataclass(frozen=True)
class MPPRow(Estimator):
    """A boosted model of each row's error, cross-fitted, calibrated, and averaged as a probability.

    Classification: P(wrong | features, scores, prediction) from five fold models that also learn from shifted
    and broken copies of reference rows (answered by the scorer, or a stand-in), isotonic on held-out rows as
    they are; the other classes share it as the calibrated scores have it, so that every metric follows.
    Regression: P(|error| falls in a bin | features, prediction) over a grid of tolerances, the estimated
    REC curve; the area over it is the mean absolute error. With fewer than 100 wrong predictions in the
    reference an error model would be noise: calibrated scores stand in and the note says so.

    Source of the idea: Ghanta et al., "MPP: Model Performance Predictor", OpML 2019, arXiv 1902.08638.

    Assumes that P(wrong | row) is what it was in the reference. Fails under label shift and concept drift,
    and off the reference's support, where trees answer as at its edge.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> method = MPPRow.fit(FitInputs(synthetic_rows(1500).rows, ("accuracy",)))
    >>> found = method.estimate(synthetic_rows(1000, seed=1, shift=0.5).rows)["accuracy"]
    >>> 0.7 < found.lower < found.value < found.upper < 0.9
    True
    """

    name: ClassVar[str] = "mpp_row"
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)
    reference: Reference
    model: ErrorModel | ErrorBins | ClassCalibrator

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        rows = checked(cls.name, inputs)
        wrong = rows.schema.is_classification and int((rows.prediction != labels(rows)).sum())
        if wrong < FEW_ERRORS:  # an error model has nothing to learn from copies either, nor does regression
            return cls.untouched(inputs)
        made = made_up_windows(rows, inputs.scorer, replace(COPIES, seed=inputs.seed))
        model = fit_error_model(rows, inputs.seed, joined(made)).model
        return cls(Reference.of(rows, tuple(inputs.metrics)), model)

    @classmethod
    def untouched(cls, inputs: FitInputs) -> Self:
        """Learn from the reference's rows as they are, for windows in which nothing moved."""
        rows = checked(cls.name, inputs)
        reference = Reference.of(rows, tuple(inputs.metrics))
        if not rows.schema.is_classification:
            return cls(reference, fit_error_bins(rows, inputs.seed))
        if reference.errors < FEW_ERRORS:
            rng = np.random.default_rng(inputs.seed)
            return cls(reference, choose_calibrator(rows, labels(rows), rng))
        return cls(reference, fit_error_model(rows, inputs.seed).model)

    def _answer(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        del scorer
        by = Answering(self.name, self.reference, window.schema, level)
        expected = self.row_expectations(window)
        if isinstance(self.model, ErrorBins):
            return loss_estimates(by, expected, self.model.error)
        if isinstance(self.model, ErrorModel):
            return class_estimates(by, window, expected)
        note = (
            f"the reference has only {self.reference.errors} wrong predictions ({FEW_ERRORS} are needed to "
            "model them): taken from calibrated scores"
        )
        by = Answering(self.name, self.reference, window.schema, level, EstimateStatus.WIDENED, note)
        return class_estimates(by, window, expected, self.reference.rows / 4)

    def row_expectations(self, window: Rows) -> NDArray[np.float64]:
        """Return P(class | row), (n, k), or for regression each row's expected losses, (n, 6)."""
        if isinstance(self.model, ErrorBins):
            return self.model.expected(window)
        if isinstance(self.model, ErrorModel):
            return self.model.posterior(window)
        return self.model.posterior(window.prediction.astype(np.int64), window.scores)

    def state(self) -> FittedState:
        params = {"reference": self.reference.params(), "kind": type(self.model).__name__}
        if isinstance(self.model, ClassCalibrator):
            return FittedState(params, self.model.arrays())
        return self.model.state(params)

    @classmethod
    def from_state(cls, state: FittedState) -> Self:
        reference, kind = Reference.of_params(state.params["reference"]), state.params["kind"]
        if kind == ErrorBins.__name__:
            return cls(reference, ErrorBins.of_state(state))
        if kind == ErrorModel.__name__:
            return cls(reference, ErrorModel.of_state(state))
        return cls(reference, ClassCalibrator.of_arrays(state.arrays))
