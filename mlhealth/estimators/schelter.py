"""Schelter's regressor: from the percentiles of a window's outputs to its metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.intervals import Answering, value_estimates
from mlhealth.estimators.made_up import MadeUp, made_up_windows
from mlhealth.estimators.metric_names import metric_of
from mlhealth.estimators.metrics import realised
from mlhealth.estimators.reference import Reference, checked
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.records import PerformanceEstimate
from mlhealth.schema.model_schema import ModelSchema, Task

Floats = NDArray[np.float64]
TINY = 1e-12
PERCENTILES = np.linspace(0.0, 100.0, 21)


@dataclass(frozen=True)
class Schelter(Estimator):
    """A random forest over made-up windows, from percentiles of their outputs to each metric.

    The windows are reference rows drawn plainly, reweighted or broken (`mlhealth.corrupt`), answered by the
    scorer, or by a stand-in distilled from the reference where there is none. The residuals on trees that
    had not seen a window give the model's part of the interval.

    Source: Schelter, Rukat, Biessmann, "Learning to validate the predictions of black box classifiers on
    unseen data", SIGMOD 2020.

    Assumes that a failure shows in the distribution of the outputs, and resembles one that was made up.
    Fails where outputs look as always while wrong, and cannot answer beyond the metrics it has seen.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> method = Schelter.fit(FitInputs(synthetic_rows(1000).rows, ("accuracy",)))
    >>> found = method.estimate(synthetic_rows(1000, seed=1).rows)["accuracy"]
    >>> 0.6 < found.lower < found.value < found.upper < 1.0
    True
    """

    name: ClassVar[str] = "schelter"
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)
    reference: Reference
    forests: Mapping[str, Any]
    missed: Mapping[str, float]
    """By metric, the variance of held-out (tamed) residuals that sampling of the made-up windows leaves."""

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        rows = checked(cls.name, inputs)
        reference = Reference.of(rows, tuple(inputs.metrics))
        plan = MadeUp(windows=150, rows=min(500, len(rows)), seed=inputs.seed)
        windows = made_up_windows(rows, inputs.scorer, plan)
        matrix = np.stack([output_percentiles(window) for window in windows])
        truths = [realised(window, reference.metrics) for window in windows]
        forests, missed = {}, {}
        for name in reference.metrics:
            error = reference.standard_errors[name]
            defined = [i for i, truth in enumerate(truths) if truth[name].value is not None]
            if error is None or len(defined) < len(windows) // 2:
                continue
            plain = np.array([truths[i][name].value for i in defined], dtype=np.float64)
            target = tamed(name, plain, rows.schema)
            forest = RandomForestRegressor(100, min_samples_leaf=2, oob_score=True, random_state=inputs.seed)
            forest.fit(matrix[defined], target)
            residual = float(np.mean((forest.oob_prediction_ - target) ** 2))
            unit = restored(name, float(np.median(target)), rows.schema)[1]
            missed[name] = max(residual - error**2 * len(rows) / plan.rows / unit**2, 0.0)
            forests[name] = forest
        return cls(reference, forests, missed)

    def _answer(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        del scorer
        by = Answering(self.name, self.reference, window.schema, level)
        if len(window) == 0:
            return value_estimates(by, 0, dict.fromkeys(self.reference.metrics, "the window has no rows"))
        features = output_percentiles(window)[None, :]
        values: dict[str, tuple[float, float] | str] = {}
        for name in self.reference.metrics:
            error = self.reference.standard_errors[name]
            if error is None:
                values[name] = self.reference.undefined(name)
                continue
            if name not in self.forests:
                values[name] = "not defined on most windows made from the reference"
                continue
            value, unit = restored(name, float(self.forests[name].predict(features)[0]), window.schema)
            sampling = error**2 * (1.0 + self.reference.rows / len(window))
            values[name] = value, sampling + unit**2 * self.missed[name]
        return value_estimates(by, len(window), values)

    def state(self) -> FittedState:
        params = {"reference": self.reference.params(), "missed": dict(self.missed)}
        return FittedState(params, {}, {f"forest/{name}": forest for name, forest in self.forests.items()})

    @classmethod
    def from_state(cls, state: FittedState) -> Self:
        forests = {name.removeprefix("forest/"): forest for name, forest in state.models.items()}
        return cls(Reference.of_params(state.params["reference"]), forests, dict(state.params["missed"]))


def tamed(name: str, values: Floats, schema: ModelSchema) -> Floats:
    """Return metric values on a scale without long tails: logarithms where the metric has no bound."""
    known = metric_of(name, schema)
    if known.bounded and np.isfinite(known.lower):
        return values
    return np.asarray(
        np.log(np.maximum(values if known.lower == 0.0 else known.upper - values, TINY)), np.float64
    )


def restored(name: str, value: float, schema: ModelSchema) -> tuple[float, float]:
    """Return the metric of a tamed value, and how far it moves per unit of the latter."""
    known = metric_of(name, schema)
    if known.bounded and np.isfinite(known.lower):
        return value, 1.0
    size = float(np.exp(value))
    return (size, size) if known.lower == 0.0 else (known.upper - size, size)


def output_percentiles(rows: Rows) -> Floats:
    """Return percentiles of each class's score, with the predicted shares of the classes; or of the prediction."""
    if not rows.schema.is_classification:
        return np.percentile(rows.prediction, PERCENTILES)
    shares = np.bincount(rows.prediction.astype(np.int64), minlength=len(rows.schema.classes)) / len(rows)
    if rows.scores is None:
        return shares
    scores = rows.scores[:, 1:] if rows.scores.shape[1] == 2 else rows.scores
    return np.concatenate([np.percentile(scores, PERCENTILES, axis=0).T.ravel(), shares])
