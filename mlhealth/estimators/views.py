"""Redundant views: the deployed model against small models that each see half of the columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.boosting import FoldModels, cross_fit
from mlhealth.estimators.calibration import ClassCalibrator, choose_calibrator
from mlhealth.estimators.class_metrics import ClassOutcomes, evaluate_classes
from mlhealth.estimators.error_model import spread_error
from mlhealth.estimators.intervals import Answering, value_estimates
from mlhealth.estimators.made_up import MadeUp, made_up_windows
from mlhealth.estimators.metrics import labelled, realised
from mlhealth.estimators.reference import Reference, checked, labels
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.estimators.view_models import Views, class_signals, fit_views, value_signals
from mlhealth.records import PerformanceEstimate
from mlhealth.schema.model_schema import Task

Floats = NDArray[np.float64]
Values = dict[str, tuple[float, float] | str]
FOLDS = 3
EDGE = 1e-3
TINY = 1e-12


@dataclass(frozen=True)
class RedundantViews(Estimator):
    """Row errors from disagreement with eight small models on random halves of the columns.

    Views whose columns drifted count for less, so that a broken column leaves witnesses. What disagreement
    means is learnt from windows made from the reference, plain, reweighted and broken, answered by the
    scorer or by a stand-in; whole windows are held out in turn, and what their estimates miss enters the
    interval. The views learn from the training rows where they are given, else from half of the reference.

    Source: in the spirit of co-training (Blum, Mitchell, COLT 1998) and of disagreement-based estimation
    (Jiang et al., "Assessing generalization via disagreement", ICLR 2022); the construction is ours.

    Assumes that columns are redundant, and that not all break at once. Coarser than other methods where
    nothing is broken; blind to concept drift. For regression it answers MAE and RMSE.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> method = RedundantViews.fit(FitInputs(synthetic_rows(1000).rows, ("accuracy",)))
    >>> found = method.estimate(synthetic_rows(1000, seed=1).rows)["accuracy"]
    >>> 0.6 < found.lower < found.value < found.upper < 1.0
    True
    """

    name: ClassVar[str] = "views"
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)
    count: ClassVar[int] = 8
    reference: Reference
    views: Views
    calibrator: ClassCalibrator | None
    judge: FoldModels | None
    """P(wrong | signals), or for regression the expected log |error| given the signals."""
    smear: tuple[float, float]
    """For regression, what |error| and its square are on average in units of the judge's answer; else 1."""
    judged: int
    """Reference rows that the judge has learnt from."""
    missed: tuple[tuple[str, float], ...]
    """By metric, the variance of held-out windows' errors that sampling leaves; relative for regression."""

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        rows = checked(cls.name, inputs)
        rng = np.random.default_rng(inputs.seed)
        half = rng.permutation(len(rows)) % 2
        train, judged = rows.take(np.flatnonzero(half == 0)), rows.take(np.flatnonzero(half == 1))
        if inputs.train is not None and len(labelled(inputs.train)) >= len(train):
            train, judged = labelled(inputs.train), rows
        views = fit_views(train, rows, cls.count, inputs.seed)
        classes = rows.schema.is_classification
        calibrator = choose_calibrator(rows, labels(rows), rng) if classes else None
        plan = MadeUp(windows=60, rows=min(400, len(judged)), seed=inputs.seed)
        windows = made_up_windows(judged, inputs.scorer, plan)
        empty = cls(
            Reference.of(rows, tuple(inputs.metrics)), views, calibrator, None, (1.0, 1.0), len(judged), ()
        )
        return empty._judged_on(windows, inputs.seed)

    def _judged_on(self, windows: list[Rows], seed: int) -> Self:
        """Learn from labelled windows what disagreement means, whole windows held out in turn."""
        seen = [self._signals(window) for window in windows]
        signals = np.vstack([one for one, _ in seen])
        sizes = [len(window) for window in windows]
        folds = np.repeat(np.arange(len(windows)) % FOLDS, sizes).astype(np.intp)
        target = _target(windows)
        kind = "value" if self.calibrator is None else "event"
        fitted = cross_fit(signals, target, kind, folds=folds, seed=seed)
        answers = np.split(fitted.held_out, np.cumsum(sizes)[:-1])
        smear = (
            (1.0, 1.0)
            if self.calibrator is not None
            else (_smear(windows, answers, 1), _smear(windows, answers, 2))
        )
        learnt = replace(self, judge=fitted.models, smear=smear)
        errors: dict[str, list[float]] = {name: [] for name in self.reference.metrics}
        for window, (_, mean), answer in zip(windows, seen, answers, strict=True):
            truth = realised(window, self.reference.metrics)
            for name, value in learnt.values_from(window, mean, answer).items():
                actual = truth[name].value
                if not isinstance(value, str) and actual is not None:
                    errors[name].append(self._excess(value, actual))
        missed = tuple((name, max(float(np.mean(e)), 0.0)) for name, e in errors.items() if e)
        return replace(learnt, missed=missed)

    def _excess(self, value: tuple[float, float], actual: float) -> float:
        """Return the squared error of an estimate less its sampling variance, relative for regression."""
        if self.calibrator is not None:
            return (value[0] - actual) ** 2 - value[1]
        size = max(value[0], TINY)
        return float(np.log(max(actual, TINY) / size) ** 2 - value[1] / size**2)

    def _signals(self, window: Rows) -> tuple[Floats, Floats]:
        """Return the signals of each row, (n, s), and the views' class probabilities, (n, k), empty for values."""
        if self.calibrator is None:
            return value_signals(self.views, window), np.zeros((len(window), 0))
        return class_signals(self.views, self.calibrator, window)

    def _answer(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        del scorer
        by = Answering(self.name, self.reference, window.schema, level)
        if len(window) == 0:
            return value_estimates(by, 0, dict.fromkeys(self.reference.metrics, "the window has no rows"))
        signals, mean = self._signals(window)
        assert self.judge is not None
        missed = dict(self.missed)
        values: Values = {}
        for name, found in self.values_from(window, mean, self.judge(signals)).items():
            if isinstance(found, str):
                values[name] = found
                continue
            unit = 1.0 if self.calibrator is not None else found[0] ** 2
            sampling = found[1] * (1.0 + len(window) / self.judged)
            values[name] = found[0], sampling + unit * missed.get(name, 0.0)
        return value_estimates(by, len(window), values)

    def values_from(self, window: Rows, mean: Floats, answer: Floats) -> Values:
        """Return (value, sampling variance) by metric from the judge's answer for each row, (n,)."""
        if self.calibrator is None:
            return self._regression(answer)
        posterior = spread_error(mean, window.prediction.astype(np.int64), np.clip(answer, EDGE, 1 - EDGE))
        outcomes = ClassOutcomes.of(window, posterior)
        values: Values = {}
        for name in self.reference.metrics:
            found = evaluate_classes(name, outcomes)
            if found.value is None:
                values[name] = found.note or "not defined"
                continue
            centre = (posterior * found.gradient).sum(axis=1)
            values[name] = found.value, float((posterior * found.gradient**2).sum() - centre @ centre)
        return values

    def _regression(self, answer: Floats) -> Values:
        why = f"method {self.name} estimates mae and rmse only: disagreement does not tell the true value"
        values: Values = dict.fromkeys(self.reference.metrics, why)
        size = np.exp(answer)
        absolute, squared, rows = size * self.smear[0], size**2 * self.smear[1], len(answer)
        if "mae" in values:
            values["mae"] = float(absolute.mean()), float(np.mean(squared - absolute**2)) / rows
        if "rmse" in values:
            root = float(np.sqrt(squared.mean()))
            values["rmse"] = root, 0.5 * float(np.mean(squared**2)) / max(root**2, 1e-300) / rows
        return values

    def state(self) -> FittedState:
        params: dict[str, Any] = {
            "reference": self.reference.params(),
            "smear": list(self.smear),
            "judged": self.judged,
            "missed": [list(pair) for pair in self.missed],
        }
        state = self.views.state(params)
        models = {} if self.judge is None else self.judge.named("judge")
        arrays = {} if self.calibrator is None else self.calibrator.arrays()
        return replace(state, arrays={**state.arrays, **arrays}, models={**state.models, **models})

    @classmethod
    def from_state(cls, state: FittedState) -> Self:
        calibrated = any(name.startswith("calibrator/") for name in state.arrays)
        return cls(
            Reference.of_params(state.params["reference"]),
            Views.of_state(state),
            ClassCalibrator.of_arrays(state.arrays) if calibrated else None,
            FoldModels.of_named(state.models, "judge"),
            (float(state.params["smear"][0]), float(state.params["smear"][1])),
            int(state.params["judged"]),
            tuple((str(name), float(value)) for name, value in state.params["missed"]),
        )


def _target(windows: list[Rows]) -> Floats:
    """Return each row's error event, or the logarithm of its absolute error, cut off far below the usual one."""
    if windows[0].schema.is_classification:
        return np.concatenate([w.prediction != labels(w) for w in windows]).astype(np.float64)
    error = np.abs(np.concatenate([np.asarray(w.label, np.float64) - w.prediction for w in windows]))
    return np.asarray(np.log(np.maximum(error, 0.05 * float(np.median(error)) + TINY)), np.float64)


def _smear(windows: list[Rows], answers: list[Floats], power: int) -> float:
    """Return the median over windows of mean |error|^power in units of the judge's mean answer."""
    found = [
        float(
            np.mean(np.abs(np.asarray(w.label, np.float64) - w.prediction) ** power)
            / np.mean(np.exp(power * a))
        )
        for w, a in zip(windows, answers, strict=True)
    ]
    return float(np.median(found))
