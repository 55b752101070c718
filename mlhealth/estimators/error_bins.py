"""The distribution of a regressor's error per row, over bins between tolerances: an estimated REC curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.boosting import random_folds
from mlhealth.estimators.encode import Encoder, bearable, with_outputs
from mlhealth.estimators.intervals import LossModelError
from mlhealth.estimators.loss_metrics import row_losses
from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
BINS = 8
FOLDS = 3


@dataclass(frozen=True)
class ErrorBins:
    """Fold models of P(signed-error bin | row), and the mean losses within each bin.

    `errors`: (b, 2) mean error and mean squared error by bin. `error`: of the held-out losses.
    """

    encoder: Encoder
    models: tuple[Any, ...]
    errors: Floats
    scale: Floats
    error: LossModelError

    def expected(self, rows: Rows) -> Floats:
        """Return each row's expected losses, (n, 6); see `loss_metrics`."""
        if len(rows) == 0:
            return np.zeros((0, 6))
        matrix = with_outputs(self.encoder.matrix(rows.features), rows)
        shares = np.mean([_shares(model, matrix, len(self.errors)) for model in self.models], axis=0)
        return _losses(shares, self.errors, rows.prediction.astype(np.float64)) * self.scale

    def state(self, params: Mapping[str, Any]) -> FittedState:
        """Return this, with further parameters, as data."""
        arrays = {
            "errors": self.errors,
            "scale": self.scale,
            "means": self.error.means,
            "covariance": self.error.covariance,
        }
        models = {f"bins/{i:02d}": model for i, model in enumerate(self.models)}
        return FittedState({**params, "encoder": self.encoder.params()}, arrays, models)

    @classmethod
    def of_state(cls, state: FittedState) -> ErrorBins:
        """Return the model that `state` was taken from."""
        arrays = {name: np.asarray(values, np.float64) for name, values in state.arrays.items()}
        return cls(
            Encoder.of_params(state.params["encoder"]),
            tuple(state.models[name] for name in sorted(state.models)),
            arrays["errors"],
            arrays["scale"],
            LossModelError(arrays["means"], arrays["covariance"]),
        )


def fit_error_bins(rows: Rows, seed: int) -> ErrorBins:
    """Fit labelled rows: bins at the quantiles of the signed error, so that bias and spread are both seen."""
    truth, prediction = np.asarray(rows.label, np.float64), rows.prediction.astype(np.float64)
    error = truth - prediction
    edges = np.unique(np.quantile(error, np.linspace(0, 1, BINS + 1)[1:-1]))
    place = np.searchsorted(edges, error, side="right")
    counts = np.maximum(np.bincount(place, minlength=len(edges) + 1), 1)
    errors = np.stack(
        [np.bincount(place, e, len(edges) + 1) / counts for e in (error, error**2, np.abs(error))], 1
    )
    encoder = Encoder.of(rows)
    matrix = with_outputs(encoder.matrix(rows.features), rows)
    fold = random_folds(len(rows), FOLDS, np.random.default_rng(seed))
    shares, models = np.empty((len(rows), len(errors))), []
    for f in range(FOLDS):
        model = HistGradientBoostingClassifier(
            max_iter=30, learning_rate=0.12, max_leaf_nodes=8, min_samples_leaf=25, early_stopping=False,
            l2_regularization=3.0, random_state=seed,
        ).fit(bearable(matrix[fold != f]), place[fold != f])  # fmt: skip
        models.append(model)
        shares[fold == f] = _shares(model, matrix[fold == f], len(errors))
    held_out, actual = _losses(shares, errors, prediction), row_losses(prediction, truth)
    scale = _scale(held_out, actual)
    return ErrorBins(encoder, tuple(models), errors, scale, LossModelError.of(held_out * scale, actual))


def _shares(model: Any, matrix: Floats, bins: int) -> Floats:
    out = np.zeros((len(matrix), bins))
    known = model.classes_.astype(np.int64)
    out[:, known] = model.predict_proba(matrix) if len(known) > 1 else 1.0
    return out


def _losses(shares: Floats, errors: Floats, prediction: Floats) -> Floats:
    """Return expected losses (n, 6) of rows whose signed error falls in bins with these probabilities."""
    mean, square, absolute = shares @ errors[:, 0], shares @ errors[:, 1], shares @ errors[:, 2]
    truths = prediction[:, None] + errors[:, 0]
    nonzero = np.abs(truths) > 1e-9 * (1.0 + np.abs(prediction[:, None]))
    relative = np.where(nonzero, errors[:, 2] / np.where(nonzero, np.abs(truths), 1.0), 0.0)
    return np.column_stack(
        [
            absolute,
            square,
            (shares * relative).sum(axis=1),
            np.ones(len(prediction)),
            prediction + mean,
            prediction**2 + 2.0 * prediction * mean + square,
        ]
    )


def _scale(expected: Floats, actual: Floats) -> Floats:
    """Return the factors, (6,), by which held-out expected losses meet the true ones in the mean."""
    scale = np.ones(6)
    below = expected.mean(axis=0)
    for column in (0, 1, 2, 3):
        if below[column] > 0:
            scale[column] = actual[:, column].mean() / below[column]
    return scale
