"""A calibrated model of each row's error: P(the prediction is wrong | row), spread over the other classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.boosting import KEPT, FoldModels, cross_fit, random_folds
from mlhealth.estimators.calibration import ClassCalibrator, Isotonic, choose_calibrator, fit_probability
from mlhealth.estimators.encode import Encoder, with_outputs
from mlhealth.estimators.reference import labels
from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
FOLDS = 5


@dataclass(frozen=True)
class ErrorModel:
    """Fold models of the error event with their calibration, and the score calibrator whose shape they keep."""

    encoder: Encoder
    models: FoldModels
    calibration: Isotonic
    calibrator: ClassCalibrator

    def error_probability(self, rows: Rows) -> Floats:
        """Return P(wrong | row), (n,)."""
        return self.calibration(self.models(design(self.encoder, self.calibrator, rows)))

    def posterior(self, rows: Rows) -> Floats:
        """Return P(class | row), (n, k): the error spread over the other classes as the scores have it."""
        shape = self.calibrator.posterior(rows.prediction.astype(np.int64), rows.scores)
        return spread_error(shape, rows.prediction.astype(np.int64), self.error_probability(rows))

    def state(self, params: Mapping[str, Any]) -> FittedState:
        """Return this, with further parameters, as data."""
        arrays = self.calibrator.arrays() | {
            "error/isotonic": np.stack([self.calibration.x, self.calibration.y])
        }
        return FittedState({**params, "encoder": self.encoder.params()}, arrays, self.models.named("error"))

    @classmethod
    def of_state(cls, state: FittedState) -> ErrorModel:
        """Return the model that `state` was taken from."""
        x, y = np.asarray(state.arrays["error/isotonic"], np.float64)
        return cls(
            Encoder.of_params(state.params["encoder"]),
            FoldModels.of_named(state.models, "error"),
            Isotonic(x, y),
            ClassCalibrator.of_arrays(state.arrays),
        )


@dataclass(frozen=True)
class FittedErrorModel:
    """An error model with its held-out P(wrong | row) on the rows it was fitted on, (n,)."""

    model: ErrorModel
    held_out: Floats


def fit_error_model(rows: Rows, seed: int, extra: Rows | None = None) -> FittedErrorModel:
    """Fit the error of labelled rows; `extra` are labelled rows to learn from that calibrate nothing."""
    rng = np.random.default_rng(seed)
    encoder = Encoder.of(rows)
    calibrator = choose_calibrator(rows, labels(rows), rng)
    matrix = design(encoder, calibrator, rows)
    wrong = (rows.prediction != labels(rows)).astype(np.float64)
    folds = random_folds(len(rows), FOLDS, rng)
    if extra is not None:
        matrix = np.vstack([matrix, design(encoder, calibrator, extra)])
        wrong = np.concatenate([wrong, (extra.prediction != labels(extra)).astype(np.float64)])
        folds = np.concatenate([folds, np.full(len(extra), KEPT, dtype=np.intp)])
    fitted = cross_fit(matrix, wrong, "event", folds=folds, seed=seed)
    held_out = fitted.held_out[: len(rows)]
    calibration = fit_probability(held_out, wrong[: len(rows)])
    model = ErrorModel(encoder, fitted.models, calibration, calibrator)
    return FittedErrorModel(model, calibration(held_out))


def design(encoder: Encoder, calibrator: ClassCalibrator, rows: Rows) -> Floats:
    """Return what the error model sees of rows: features, outputs, and the calibrated confidence, (n, d)."""
    prediction = rows.prediction.astype(np.int64)
    confidence = calibrator.posterior(prediction, rows.scores)[np.arange(len(rows)), prediction]
    return np.column_stack([with_outputs(encoder.matrix(rows.features), rows), confidence])


def spread_error(shape: Floats, prediction: NDArray[np.int64], error: Floats) -> Floats:
    """Return P(class | row), (n, k): 1 - error for the predicted class, the rest in the proportions of `shape`."""
    at = np.arange(len(prediction))
    others = shape.copy()
    others[at, prediction] = 0.0
    total = others.sum(axis=1, keepdims=True)
    k = shape.shape[1]
    even = (1.0 - np.eye(k)[prediction]) / (k - 1)
    out = error[:, None] * np.where(total > 0, others / np.where(total > 0, total, 1.0), even)
    out[at, prediction] = 1.0 - error
    return out
