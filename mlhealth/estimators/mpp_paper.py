"""MPP as published: a random forest on the primary model's errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.calibration import Isotonic, fit_probability
from mlhealth.estimators.encode import Encoder, with_outputs
from mlhealth.estimators.intervals import Answering, value_estimates
from mlhealth.estimators.reference import Reference, checked
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.records import PerformanceEstimate
from mlhealth.schema.model_schema import Task

Floats = NDArray[np.float64]
TOLERANCES = 12


@dataclass(frozen=True)
class MPPPaper(Estimator):
    """A random forest learns on held-out rows whether the primary model is right; its mean answer is the score.

    The labelled rows are split 60/20/20: fit, isotonic calibration, and a check whose |estimate - truth|
    enters the interval. Inputs are the features, the prediction, its greatest probability, margin and
    entropy. For regression the event is |error| > tolerance over a grid of tolerances: the estimated REC
    curve, whose area is the mean absolute error. Probabilities are averaged, not votes, which would favour
    the majority.

    Source: Ghanta et al., "MPP: Model Performance Predictor", OpML 2019, arXiv 1902.08638 (forest, split,
    grid and calibration are our choices where that is silent).

    Assumes that P(wrong | row) is what it was. Learns from undisturbed rows only, hence blind to broken
    inputs that make the model sure; a few hundred errors are needed; blind to concept drift. Estimates
    accuracy, MAE and RMSE.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> method = MPPPaper.fit(FitInputs(synthetic_rows(1500).rows, ("accuracy",)))
    >>> found = method.estimate(synthetic_rows(1000, seed=1, shift=0.5).rows)["accuracy"]
    >>> 0.65 < found.lower < found.value < found.upper < 0.95
    True
    """

    name: ClassVar[str] = "mpp_paper"
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)
    reference: Reference
    encoder: Encoder
    forest: Any
    tolerances: Floats
    """Ascending, (m,); for classification only 0.5, of the 0/1 error."""
    calibrations: tuple[Isotonic, ...]
    fidelity: Mapping[str, float]
    """By metric, the squared difference of estimate and truth on the rows kept for checking."""

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        rows = checked(cls.name, inputs)
        encoder, error = Encoder.of(rows), _absolute_error(rows)
        tolerances = _tolerances(error) if not rows.schema.is_classification else np.array([0.5])
        events = (error[:, None] > tolerances).astype(np.int64)
        matrix = _inputs(encoder, rows)
        part = np.random.default_rng(inputs.seed).permutation(len(rows)) % 5
        forest = RandomForestClassifier(100, min_samples_leaf=5, random_state=inputs.seed)
        forest.fit(matrix[part < 3], events[part < 3] if events.shape[1] > 1 else events[part < 3, 0])
        raw = _exceedance(forest, matrix[part == 3], len(tolerances))
        fitted = [
            fit_probability(raw[:, j], events[part == 3, j].astype(float)) for j in range(len(tolerances))
        ]
        half = cls(Reference.of(rows, tuple(inputs.metrics)), encoder, forest, tolerances, tuple(fitted), {})
        check = rows.take(np.flatnonzero(part == 4))
        truth = Reference.of(check, half.reference.metrics).values
        missed = {
            name: (value - float(truth[name] or 0.0)) ** 2 for name, (value, _) in half._values(check).items()
        }
        return cls(half.reference, encoder, forest, tolerances, tuple(fitted), missed)

    def exceedance(self, window: Rows) -> Floats:
        """Return P(|error| > tolerance), not increasing in the tolerance, (n, m)."""
        raw = _exceedance(self.forest, _inputs(self.encoder, window), len(self.tolerances))
        mapped = np.column_stack([f(raw[:, j]) for j, f in enumerate(self.calibrations)])
        return np.minimum.accumulate(mapped, axis=1)

    def _answer(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        del scorer
        by = Answering(self.name, self.reference, window.schema, level)
        if len(window) == 0:
            return value_estimates(by, 0, dict.fromkeys(self.reference.metrics, "the window has no rows"))
        values: dict[str, tuple[float, float] | str] = dict(self._values(window))
        return value_estimates(by, len(window), values)

    def _values(self, window: Rows) -> dict[str, tuple[float, float]]:
        wrong = self.exceedance(window)
        out: dict[str, tuple[float, float]] = {}
        size = 1.0 / len(window) + 1.0 / (0.4 * self.reference.rows)
        if window.schema.is_classification:
            share = float(wrong.mean())
            variance = float(np.mean(wrong * (1.0 - wrong))) * size
            out["accuracy"] = 1.0 - share, variance + self._missed("accuracy")
        else:
            steps = np.diff(self.tolerances, prepend=0.0)
            before = np.column_stack([np.ones(len(wrong)), wrong[:, :-1]])
            between = (before + wrong) / 2.0
            first, second = between @ steps, between @ np.diff(self.tolerances**2, prepend=0.0)
            spread = float(np.mean(np.maximum(second - first**2, 0.0)))
            out["mae"] = float(first.mean()), spread * size + self._missed("mae")
            root = float(np.sqrt(second.mean()))
            quadratic = 3.0 * float(np.mean(second**2)) / max(4.0 * root**2, 1e-300)
            out["rmse"] = root, quadratic * size + self._missed("rmse")
        return {name: value for name, value in out.items() if name in self.reference.metrics}

    def _missed(self, name: str) -> float:
        """Return the part of the checked error that sampling of the check rows does not explain."""
        error = self.reference.standard_errors[name] or 0.0
        return max(self.fidelity.get(name, 0.0) - 5.0 * error**2, 0.0)

    def state(self) -> FittedState:
        params = {
            "reference": self.reference.params(),
            "encoder": self.encoder.params(),
            "fidelity": dict(self.fidelity),
        }
        arrays = {f"isotonic/{j:02d}": np.stack([f.x, f.y]) for j, f in enumerate(self.calibrations)}
        return FittedState(params, arrays | {"tolerances": self.tolerances}, {"forest": self.forest})

    @classmethod
    def from_state(cls, state: FittedState) -> Self:
        curves = [
            np.asarray(state.arrays[n], float) for n in sorted(state.arrays) if n.startswith("isotonic/")
        ]
        return cls(
            Reference.of_params(state.params["reference"]),
            Encoder.of_params(state.params["encoder"]),
            state.models["forest"],
            np.asarray(state.arrays["tolerances"], float),
            tuple(Isotonic(x, y) for x, y in curves),
            dict(state.params["fidelity"]),
        )


def _absolute_error(rows: Rows) -> Floats:
    truth = np.asarray(rows.label, np.float64)
    if rows.schema.is_classification:
        return np.asarray(rows.prediction != truth, np.float64)
    return np.asarray(np.abs(truth - rows.prediction), np.float64)


def _tolerances(error: Floats) -> Floats:
    inner = np.quantile(error, np.linspace(0.0, 1.0, TOLERANCES + 1)[1:-1])
    tail = np.quantile(error, [0.95, 0.98])
    return np.unique(np.concatenate([inner, tail, [float(error.max()) * (1.0 + 1e-9) + 1e-12]]))


def _inputs(encoder: Encoder, rows: Rows) -> Floats:
    matrix = with_outputs(encoder.matrix(rows.features), rows)
    if rows.scores is None:
        return matrix
    ordered = np.sort(rows.scores, axis=1)[:, ::-1]
    entropy = -np.sum(rows.scores * np.log(np.maximum(rows.scores, 1e-12)), axis=1)
    return np.column_stack([matrix, ordered[:, 0], ordered[:, 0] - ordered[:, 1], entropy])


def _exceedance(forest: Any, matrix: Floats, count: int) -> Floats:
    found = forest.predict_proba(matrix)
    found, classes = ([found], [forest.classes_]) if count == 1 else (found, forest.classes_)
    columns = [
        p[:, list(c).index(1)] if 1 in c else np.zeros(len(p)) for p, c in zip(found, classes, strict=True)
    ]
    return np.column_stack(columns)
