"""Models that each see part of the columns, and what a window's rows look like to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.calibration import ClassCalibrator
from mlhealth.estimators.encode import Encoder, bearable
from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
QUANTILES = 40
MOST_TRAINING_ROWS = 6_000
_TREES: dict[str, Any] = {
    "max_iter": 50, "learning_rate": 0.12, "max_leaf_nodes": 12, "min_samples_leaf": 20, "early_stopping": False,
}  # fmt: skip


@dataclass(frozen=True)
class Views:
    """Models on subsets of the encoded columns.

    `columns`: by view the places of its columns. `grids`: (d, QUANTILES) reference quantiles of each
    column, and `missing` (d,) its missing rate, by which drifted columns are known. `rows`: reference rows
    behind them.
    """

    encoder: Encoder
    columns: tuple[NDArray[np.intp], ...]
    models: tuple[Any, ...]
    grids: Floats
    missing: Floats
    rows: int

    def drift(self, matrix: Floats) -> Floats:
        """Return how far each column lies from the reference beyond sampling noise, (d,), 0 to 1."""
        if len(matrix) == 0:
            return np.zeros(len(self.grids))
        levels = (np.arange(QUANTILES) + 0.5) / QUANTILES
        out = np.empty(len(self.grids))
        noise = 2.2 * np.sqrt(1.0 / len(matrix) + 1.0 / self.rows)
        for j, grid in enumerate(self.grids):
            known = matrix[np.isfinite(matrix[:, j]), j]
            gone = abs(1.0 - len(known) / len(matrix) - self.missing[j])
            ordered = np.sort(known)
            below = np.searchsorted(ordered, grid, "left") / max(len(known), 1)
            upto = np.searchsorted(ordered, grid, "right") / max(len(known), 1)
            apart = np.maximum(np.maximum(below - levels, levels - upto), 0.0).max() if len(known) else 0.0
            out[j] = max(apart - 0.5 / QUANTILES, gone, 0.0) - noise
        return np.clip(out, 0.0, 1.0)

    def answers(self, matrix: Floats) -> Floats:
        """Return what each view says of each row: (v, n, k) class probabilities, or (v, n, 1) values."""
        out = []
        for columns, model in zip(self.columns, self.models, strict=True):
            part = matrix[:, columns]
            if hasattr(model, "predict_proba"):
                out.append(model.predict_proba(part))
            else:
                out.append(model.predict(part)[:, None])
        return np.stack(out)

    def trust(self, drift: Floats) -> Floats:
        """Return the weight of each view, (v,), summing to 1: small where its columns drifted."""
        raw = np.array([1.0 / (0.02 + float(drift[c].mean())) ** 2 for c in self.columns])
        return np.asarray(raw / raw.sum(), np.float64)

    def state(self, params: Mapping[str, Any]) -> FittedState:
        """Return this, with further parameters, as data."""
        arrays: dict[str, NDArray[np.generic]] = {"grids": self.grids, "missing": self.missing}
        arrays |= {f"columns/{i:02d}": columns for i, columns in enumerate(self.columns)}
        models = {f"view/{i:02d}": model for i, model in enumerate(self.models)}
        return FittedState(
            {**params, "encoder": self.encoder.params(), "view_rows": self.rows}, arrays, models
        )

    @classmethod
    def of_state(cls, state: FittedState) -> Views:
        """Return the views that `state` was taken from."""
        arrays: Mapping[str, Any] = state.arrays
        return cls(
            Encoder.of_params(state.params["encoder"]),
            tuple(np.asarray(arrays[n], np.intp) for n in sorted(arrays) if n.startswith("columns/")),
            tuple(state.models[n] for n in sorted(state.models) if n.startswith("view/")),
            np.asarray(arrays["grids"], np.float64),
            np.asarray(arrays["missing"], np.float64),
            int(state.params["view_rows"]),
        )


def fit_views(train: Rows, reference: Rows, count: int, seed: int) -> Views:
    """Fit `count` views on labelled `train` rows: one sees every column, several a random half each."""
    rng = np.random.default_rng(seed)
    encoder = Encoder.of(reference)
    if len(train) > MOST_TRAINING_ROWS:
        train = train.take(np.sort(rng.choice(len(train), MOST_TRAINING_ROWS, replace=False)))
    matrix, normal = encoder.matrix(train.features), encoder.matrix(reference.features)
    d = matrix.shape[1]
    size = d if count == 1 else max((d + 1) // 2, 1)
    columns = tuple(np.sort(rng.permutation(d)[:size]) for _ in range(count))
    models = tuple(_fit_view(matrix[:, c], train, seed) for c in columns)
    levels = (np.arange(QUANTILES) + 0.5) / QUANTILES
    grids = np.full((d, QUANTILES), 0.0)
    for j in range(d):
        known = normal[np.isfinite(normal[:, j]), j]
        grids[j] = np.quantile(known, levels) if len(known) else 0.0
    return Views(encoder, columns, models, grids, np.isnan(normal).mean(axis=0), len(reference))


def _fit_view(matrix: Floats, train: Rows, seed: int) -> Any:
    matrix = bearable(matrix)
    if train.schema.is_classification:
        return HistGradientBoostingClassifier(random_state=seed, **_TREES).fit(matrix, train.label)
    return HistGradientBoostingRegressor(random_state=seed, **_TREES).fit(matrix, train.label)


def class_signals(views: Views, calibrator: ClassCalibrator, window: Rows) -> tuple[Floats, Floats]:
    """Return what tells of each row's error, (n, 8), and the trusted views' class probabilities, (n, k).

    Per row: the model's calibrated confidence, the trusted views' probability of its answer, their least,
    spread and share of other votes; and for the whole window: mean confidence, mean agreement, mean drift
    of the columns.
    """
    matrix = views.encoder.matrix(window.features)
    drift, at = views.drift(matrix), np.arange(len(window))
    prediction = window.prediction.astype(np.int64)
    answers, trust = views.answers(matrix), views.trust(drift)
    mean = np.tensordot(trust, answers, axes=1)
    of_answer = answers[:, at, prediction]
    agree = mean[at, prediction]
    spread = np.sqrt(np.maximum(trust @ of_answer**2 - agree**2, 0.0))
    others = trust @ (answers.argmax(axis=2) != prediction)
    confidence = calibrator.posterior(prediction, window.scores)[at, prediction]
    whole = [
        np.full(len(window), np.mean(np.sort(x))) if len(window) else np.zeros(0) for x in (confidence, agree)
    ]
    columns = [confidence, agree, of_answer.min(axis=0, initial=1.0), spread, others, *whole]
    return np.column_stack([*columns, np.full(len(window), drift.mean())]), mean


def value_signals(views: Views, window: Rows) -> Floats:
    """Return what tells of each row's error, (n, 6), for a regressor.

    Per row: distance of the prediction from the trusted views' mean, their spread, that mean and the
    prediction; and for the whole window: the mean distance and the mean drift of the columns.
    """
    matrix = views.encoder.matrix(window.features)
    drift = views.drift(matrix)
    answers, trust = views.answers(matrix)[:, :, 0], views.trust(drift)
    mean = trust @ answers
    spread = np.sqrt(np.maximum(trust @ answers**2 - mean**2, 0.0))
    prediction = window.prediction.astype(np.float64)
    apart = np.abs(prediction - mean)
    whole = np.full(len(window), np.mean(np.sort(apart))) if len(window) else np.zeros(0)
    return np.column_stack([apart, spread, mean, prediction, whole, np.full(len(window), drift.mean())])
