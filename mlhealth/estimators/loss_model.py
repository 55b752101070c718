"""Models of a regressor's losses per row: |e|, e^2, |e|/|y| and e given features and prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.boosting import FoldModels, cross_fit, random_folds
from mlhealth.estimators.encode import Encoder, with_outputs
from mlhealth.estimators.intervals import LossModelError
from mlhealth.estimators.loss_metrics import (
    ABSOLUTE,
    NONZERO,
    RELATIVE,
    SQUARED,
    TRUTH,
    TRUTH_SQUARED,
    row_losses,
)  # fmt: skip
from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
FOLDS = 3
ROW_MODELS = {"absolute": ABSOLUTE, "squared": SQUARED, "relative": RELATIVE}


@dataclass(frozen=True)
class LossModel:
    """Fold models by loss with the factor that meets each one's held-out mean, and their held-out error.

    `nonzero`: share of reference rows whose true value is not 0.
    """

    encoder: Encoder
    models: Mapping[str, FoldModels]
    factors: Mapping[str, float]
    nonzero: float
    error: LossModelError

    def expected(self, rows: Rows) -> Floats:
        """Return each row's expected losses, (n, 6); see `loss_metrics`."""
        matrix = with_outputs(self.encoder.matrix(rows.features), rows)
        parts = {name: model(matrix) * self.factors[name] for name, model in self.models.items()}
        return _losses(parts, rows.prediction.astype(np.float64), self.nonzero)

    def state(self, params: Mapping[str, Any]) -> FittedState:
        """Return this, with further parameters, as data."""
        models = {k: m for name, folds in self.models.items() for k, m in folds.named(name).items()}
        arrays = {"means": self.error.means, "covariance": self.error.covariance}
        more = {"encoder": self.encoder.params(), "factors": dict(self.factors), "nonzero": self.nonzero}
        return FittedState({**params, **more}, arrays, models)

    @classmethod
    def of_state(cls, state: FittedState) -> LossModel:
        """Return the model that `state` was taken from."""
        names = state.params["factors"]
        error = LossModelError(
            np.asarray(state.arrays["means"], np.float64), np.asarray(state.arrays["covariance"], np.float64)
        )
        return cls(
            Encoder.of_params(state.params["encoder"]),
            {name: FoldModels.of_named(state.models, name) for name in names},
            dict(names),
            float(state.params["nonzero"]),
            error,
        )


@dataclass(frozen=True)
class FittedLossModel:
    """A loss model with its held-out expected losses on the rows it was fitted on, (n, 6)."""

    model: LossModel
    held_out: Floats


def fit_loss_model(rows: Rows, metrics: Sequence[str], seed: int) -> FittedLossModel:
    """Fit the losses of labelled rows, the relative one and the error itself only where a metric needs them."""
    prediction, truth = rows.prediction.astype(np.float64), np.asarray(rows.label, np.float64)
    actual = row_losses(prediction, truth)
    encoder = Encoder.of(rows)
    matrix = with_outputs(encoder.matrix(rows.features), rows)
    folds = random_folds(len(rows), FOLDS, np.random.default_rng(seed))
    models, factors, parts = {}, {}, {}
    for name in ("absolute", "squared", *(["relative"] if "mape" in metrics else [])):
        target = actual[:, ROW_MODELS[name]]
        mean = max(float(target.mean()), 1e-300)
        fitted = cross_fit(matrix, target / mean, "loss", folds=folds, seed=seed)
        factors[name] = mean / max(float(fitted.held_out.mean()), 1e-300)
        models[name], parts[name] = fitted.models, fitted.held_out * factors[name]
    if "r2" in metrics:
        fitted = cross_fit(matrix, truth - prediction, "value", folds=folds, seed=seed)
        models["error"], parts["error"], factors["error"] = fitted.models, fitted.held_out, 1.0
    nonzero = float(actual[:, NONZERO].mean())
    held_out = _losses(parts, prediction, nonzero)
    error = LossModelError.of(held_out, actual)
    return FittedLossModel(LossModel(encoder, models, factors, nonzero, error), held_out)


def _losses(parts: Mapping[str, Floats], prediction: Floats, nonzero: float) -> Floats:
    out = np.zeros((len(prediction), 6))
    for name, column in ROW_MODELS.items():
        if name in parts:
            out[:, column] = parts[name]
    bias = parts.get("error", np.zeros(len(prediction)))
    out[:, NONZERO] = nonzero
    out[:, TRUTH] = prediction + bias
    out[:, TRUTH_SQUARED] = prediction**2 + 2.0 * prediction * bias + out[:, SQUARED]
    return out
