"""DoC: difference of confidences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.calibration import ClassCalibrator, choose_calibrator
from mlhealth.estimators.intervals import Answering, value_estimates
from mlhealth.estimators.kept import KeptRows
from mlhealth.estimators.posterior import CLASSIFICATION
from mlhealth.estimators.reference import Reference, checked, labels
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.estimators.weighted import weighted_metric
from mlhealth.records import PerformanceEstimate
from mlhealth.schema.model_schema import Task

Floats = NDArray[np.float64]
TILTS = 60


@dataclass(frozen=True)
class DoC(Estimator):
    """A metric's change as a line through the change of mean calibrated confidence.

    The line is fitted over the reference tilted along its columns and its scores (weights exp(t rank)),
    because plain resamples have no spread in confidence, and their slope would be noise.

    Source: Guillory et al., "Predicting with confidence on unseen distributions", ICCV 2021; the tilts are
    ours.

    Assumes that confidence moves with the metric as it does within the reference. Fails where a broken
    input makes the model more sure, and under concept drift.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> method = DoC.fit(FitInputs(synthetic_rows(2000).rows, ("accuracy",)))
    >>> found = method.estimate(synthetic_rows(1000, seed=1, shift=0.5).rows)["accuracy"]
    >>> 0.7 < found.lower < found.value < found.upper < 0.9
    True
    """

    name: ClassVar[str] = "doc"
    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION
    reference: Reference
    calibrator: ClassCalibrator
    confidence: float
    lines: Mapping[str, tuple[float, float]]
    """By metric: the slope, and the variance of what the line misses."""

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        rows = checked(cls.name, inputs)
        reference = Reference.of(rows, tuple(inputs.metrics))
        rng = np.random.default_rng(inputs.seed)
        calibrator = choose_calibrator(rows, labels(rows), rng)
        sure = _confidence(calibrator, rows)
        tilts = _tilts(KeptRows.of(rows).matrix, rng)
        change = np.array([float(np.average(sure, weights=w)) - float(sure.mean()) for w in tilts])
        kept = KeptRows.of(rows)
        lines = {}
        for name in reference.metrics:
            base = reference.values[name]
            if base is None:
                continue
            found = [weighted_metric(name, kept, rows.schema, w) for w in tilts]
            moved = np.array([base if isinstance(f, str) else f[0] for f in found]) - base
            slope = float(change @ moved / (change @ change + 1e-6 * len(change)))
            lines[name] = slope, float(np.mean((moved - slope * change) ** 2))
        return cls(reference, calibrator, float(sure.mean()), lines)

    def _answer(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        del scorer
        by = Answering(self.name, self.reference, window.schema, level)
        if len(window) == 0:
            return value_estimates(by, 0, dict.fromkeys(self.reference.metrics, "the window has no rows"))
        moved = float(np.sort(_confidence(self.calibrator, window)).mean()) - self.confidence
        values: dict[str, tuple[float, float] | str] = {}
        for name in self.reference.metrics:
            base, error = self.reference.values[name], self.reference.standard_errors[name]
            if base is None or error is None:
                values[name] = self.reference.undefined(name)
                continue
            slope, missed = self.lines[name]
            sampling = error**2 * (1.0 + self.reference.rows / len(window))
            values[name] = base + slope * moved, sampling + missed
        return value_estimates(by, len(window), values)

    def state(self) -> FittedState:
        params = {
            "reference": self.reference.params(),
            "confidence": self.confidence,
            "lines": {name: list(line) for name, line in self.lines.items()},
        }
        return replace(FittedState(params), arrays=self.calibrator.arrays())

    @classmethod
    def from_state(cls, state: FittedState) -> Self:
        lines = {name: (float(line[0]), float(line[1])) for name, line in state.params["lines"].items()}
        return cls(
            Reference.of_params(state.params["reference"]),
            ClassCalibrator.of_arrays(state.arrays),
            float(state.params["confidence"]),
            lines,
        )


def _confidence(calibrator: ClassCalibrator, rows: Rows) -> Floats:
    prediction = rows.prediction.astype(np.int64)
    return calibrator.posterior(prediction, rows.scores)[np.arange(len(rows)), prediction]


def _tilts(matrix: Floats, rng: np.random.Generator) -> list[Floats]:
    """Return row weights (n,), each exponential in the rank of one column."""
    out = []
    for _ in range(TILTS):
        column = np.nan_to_num(matrix[:, rng.integers(matrix.shape[1])], nan=-np.inf)
        rank = np.searchsorted(np.sort(column), column, side="right") / len(column)
        weight = np.exp(rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 3.0) * rank)
        out.append(weight / weight.mean())
    return out
