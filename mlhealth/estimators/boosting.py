"""Cross-fitted gradient boosting: fold models whose held-out answers calibrate their average."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from mlhealth.estimators.encode import bearable

Floats = NDArray[np.float64]
_TREES: dict[str, Any] = {
    "max_iter": 80,
    "learning_rate": 0.08,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 25,
    "l2_regularization": 3.0,
    "early_stopping": False,
}
"""Small trees, few of them: a window's mean needs little variance more than it needs each row's detail."""

KEPT = -1
"""The fold number of rows that every model may learn from."""


@dataclass(frozen=True)
class FoldModels:
    """Models each fitted without one fold. `kind`: `event` (a probability), `loss` (positive) or `value`."""

    models: tuple[Any, ...]
    kind: str

    def __call__(self, matrix: Floats) -> Floats:
        """Return the average of the models' answers, (n,)."""
        if len(matrix) == 0:
            return np.zeros(0)
        return np.asarray(
            np.mean([_ask(model, self.kind, matrix) for model in self.models], axis=0), np.float64
        )

    def named(self, prefix: str) -> dict[str, Any]:
        """Return the models by name."""
        return {f"{prefix}/{self.kind}/{i:02d}": model for i, model in enumerate(self.models)}

    @classmethod
    def of_named(cls, models: Mapping[str, Any], prefix: str) -> FoldModels:
        """Return the fold models that `models` holds under `prefix`."""
        names = sorted(name for name in models if name.startswith(f"{prefix}/"))
        return cls(tuple(models[name] for name in names), names[0].split("/")[-2])


@dataclass(frozen=True)
class CrossFitted:
    """Fold models with what each row was answered by the model that had not seen it, (n,)."""

    models: FoldModels
    held_out: Floats


def cross_fit(
    matrix: Floats,
    target: Floats,
    kind: str,
    *,
    folds: NDArray[np.intp],
    weight: Floats | None = None,
    seed: int = 0,
) -> CrossFitted:
    """Fit `target` on `matrix` once without each fold; `folds`: (n,) fold numbers from 0, or KEPT.

    Rows marked KEPT are in every fold's training and are never answered (NaN).

    `event` targets are 0 or 1 and answers probabilities; `loss` targets are not negative and answers positive
    (Poisson loss, which keeps their mean); `value` targets are any numbers.
    """
    held_out = np.full(len(target), np.nan)
    models = []
    for fold in range(int(folds.max()) + 1):
        inside, outside = folds != fold, folds == fold
        w = None if weight is None else weight[inside]
        model = fit_one(matrix[inside], target[inside], kind, weight=w, seed=seed)
        held_out[outside] = _ask(model, kind, matrix[outside])
        models.append(model)
    return CrossFitted(FoldModels(tuple(models), kind), held_out)


def fit_one(
    matrix: Floats, target: Floats, kind: str, *, weight: Floats | None = None, seed: int = 0
) -> HistGradientBoostingClassifier | HistGradientBoostingRegressor:
    """Return one boosted model of `target`; see `cross_fit` for the kinds."""
    matrix = bearable(matrix)
    if kind == "event":
        model = HistGradientBoostingClassifier(random_state=seed, **_TREES)
        return model.fit(matrix, target.astype(np.int64), sample_weight=weight)
    loss = "poisson" if kind == "loss" and float(target.sum()) > 0 else "squared_error"
    return HistGradientBoostingRegressor(loss=loss, random_state=seed, **_TREES).fit(
        matrix, target, sample_weight=weight
    )


def _ask(model: Any, kind: str, matrix: Floats) -> Floats:
    if kind != "event":
        return np.asarray(model.predict(matrix), np.float64)
    if len(model.classes_) == 1:
        return np.full(len(matrix), float(model.classes_[0]))
    return np.asarray(model.predict_proba(matrix)[:, 1], np.float64)


def random_folds(rows: int, folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return a fold number for each row, the folds of equal size."""
    return rng.permutation(rows) % folds
