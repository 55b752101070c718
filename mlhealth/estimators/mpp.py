"""MPP: the model performance predictor, an ensemble of competing explanations of a window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from mlhealth.baseline.record import FittedState
from mlhealth.errors import DataError
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.cbpe import CBPE
from mlhealth.estimators.dle import DLE
from mlhealth.estimators.ensemble.conformal import Factors, calibrate, row_deviations, spread
from mlhealth.estimators.ensemble.core import Core, Verdict, agrees, in_order, rowwise
from mlhealth.estimators.ensemble.explanations import Bench
from mlhealth.estimators.ensemble.outputs import OutputSpace
from mlhealth.estimators.ensemble.replay import Memory
from mlhealth.estimators.ensemble.stored import rows_of_data, rows_to_data
from mlhealth.estimators.ensemble.surrogate import Design, Surrogate
from mlhealth.estimators.ensemble.words import Explanation, column_faults, explain, sentence
from mlhealth.estimators.intervals import Answering
from mlhealth.estimators.mpp_row import MPPRow
from mlhealth.estimators.reference import Reference, checked
from mlhealth.estimators.rows import Rows, Scorer, answered
from mlhealth.estimators.views import RedundantViews
from mlhealth.records import EstimateStatus, PerformanceEstimate
from mlhealth.schema.model_schema import Task

WIDENED, OUT_OF_SUPPORT = 0.7, 0.88
"""Misfit (0: all is explained, 1: nothing is) from which an estimate is widened, or beyond the reference's support."""
MOST_REFERENCE = 6_000
"""Reference rows that are kept, and that a scorer is asked about for one suspicious window, at most."""
FEW_ROWS = 50
"""Rows of a window below which its columns are not looked at."""


@dataclass(frozen=True)
class Mpp(Estimator):
    """Competing explanations of a window; the most believed ones answer, in proportion to their belief.

    Explanations: nothing moved; the mix of rows has shifted; the mix of labels has shifted; columns were
    broken, and how; and the latter with either shift. Each predicts what the window should look like:
    labelled reference rows, treated as the window seems to have been treated, answered by the deployed
    model (or a stand-in), and weighted. An explanation is believed the more, the less a classifier can tell
    it from the window. Metrics are read off the known labels of the explained reference, and off the
    window's own scores recalibrated on it.

    Idea of predicting a deployed model's performance by an ensemble of label-free evidence: Ghanta et al.,
    "MPP: Model Performance Predictor", OpML 2019, arXiv 1902.08638. The competing explanations are this
    project's own.

    Assumes that each row's label depends on its unbroken inputs as it did in the reference. Concept drift
    cannot be seen. A column that drifts the way a fault would break it is taken for broken.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> method = Mpp.fit(FitInputs(synthetic_rows(1500).rows, ("accuracy",)))
    >>> found = method.estimate(synthetic_rows(1000, seed=1, shift=0.5).rows)["accuracy"]
    >>> 0.7 < found.lower < found.value < found.upper < 0.9
    True
    """

    name: ClassVar[str] = "mpp"
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)
    reference: Reference
    core: Core
    factors: Factors

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        every = in_order(checked(cls.name, inputs))
        rows = every.take(np.arange(min(len(every), MOST_REFERENCE)))
        inputs = replace(inputs, reference=rows)
        if inputs.scorer is not None and not agrees(inputs.scorer, rows, OutputSpace.of(rows)):
            raise DataError(
                "the scorer answers otherwise than the predictions logged in the reference: give the scorer of this "
                "model version, with the same columns and preprocessing"
            )
        core = Core.fit(inputs)
        return cls(Reference.of(every, tuple(inputs.metrics)), core, calibrate(inputs, core, inputs.scorer))

    def _answer(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        if len(window) == 0:
            by = Answering(self.name, self.reference, window.schema, level)
            return {m: by.refuse(m, "the window has no rows") for m in self.reference.metrics}
        verdict = self.core.judge(replace(window, label=None), scorer)
        return self._estimates(verdict, window, level)

    def explain(self, window: Rows, *, scorer: Scorer | None = None) -> tuple[Explanation, ...]:
        """Return what happened to a window, as its most believed explanation has it; empty where nothing did."""
        window = answered(window)
        if len(window) == 0:
            return ()
        return self._told(self.core.judge(replace(window, label=None), scorer))

    def _told(self, verdict: Verdict) -> tuple[Explanation, ...]:
        return explain(verdict.believed[0], self.core.bench, verdict.movement)

    def _estimates(self, verdict: Verdict, window: Rows, level: float) -> dict[str, PerformanceEstimate]:
        status, note = _status(verdict, len(window))
        by = Answering(self.name, self.reference, window.schema, level, status, note)
        deviation = row_deviations(self.core, self.reference.metrics)
        told = self._told(verdict)
        words, faults = sentence(told), column_faults(told)
        out = {}
        for metric in self.reference.metrics:
            answer = verdict.answers[metric]
            if isinstance(answer, str):
                out[metric] = by.refuse(metric, answer)
                continue
            width = spread(answer, verdict.misfit, metric, deviation.get(metric, 0.0))
            half = self.factors.at(metric, level) * width
            found = by.within(metric, answer.value, half, len(window))
            out[metric] = replace(found, explanation=words, faults=faults)
        return out

    def state(self) -> FittedState:
        memory, surrogate = self.core.bench.memory, self.core.surrogate
        params, arrays = rows_to_data(memory.rows)
        params["reference"] = self.reference.params()
        params["factors"] = {m: list(f) for m, f in self.factors.by_metric.items()}
        params["space"] = surrogate.space.params()
        params["seed"] = self.core.seed
        params["usual"] = {}
        models = dict(surrogate.models())
        arrays = {**arrays, **surrogate.arrays()}
        witness = () if self.core.witness is None else (self.core.witness,)
        for method in (*self.core.usual, *witness):
            part = method.state()
            params["usual"][method.name] = dict(part.params)
            arrays |= {f"usual/{method.name}/{k}": v for k, v in part.arrays.items()}
            models |= {f"usual/{method.name}/{k}": v for k, v in part.models.items()}
        return FittedState(params, arrays, models)

    @classmethod
    def from_state(cls, state: FittedState) -> Self:
        rows = rows_of_data(state.params, state.arrays)
        memory, space = Memory.of(rows), OutputSpace.of_params(state.params["space"])
        surrogate = Surrogate.of(Design.of(memory.encoding), space, state.arrays, state.models)
        first = CBPE if rows.schema.is_classification else DLE
        usual = (first.from_state(_part(state, first.name)), MPPRow.from_state(_part(state, MPPRow.name)))
        reference = Reference.of_params(state.params["reference"])
        core = Core(
            Bench.of(memory, space, rowwise(usual)),
            usual,
            surrogate,
            reference.metrics,
            int(state.params["seed"]),
            _witness(state),
        )
        factors = Factors({m: tuple(f) for m, f in state.params["factors"].items()})
        return cls(reference, core, factors)


def _witness(state: FittedState) -> RedundantViews | None:
    known = RedundantViews.name in state.params["usual"]
    return RedundantViews.from_state(_part(state, RedundantViews.name)) if known else None


def _part(state: FittedState, name: str) -> FittedState:
    prefix = f"usual/{name}/"
    arrays = {k.removeprefix(prefix): v for k, v in state.arrays.items() if k.startswith(prefix)}
    models = {k.removeprefix(prefix): v for k, v in state.models.items() if k.startswith(prefix)}
    return FittedState(state.params["usual"][name], arrays, models)


def _status(verdict: Verdict, rows: int) -> tuple[EstimateStatus, str | None]:
    if rows < FEW_ROWS:
        return EstimateStatus.WIDENED, f"the window has only {rows} rows; its columns were not looked at"
    if verdict.misfit > OUT_OF_SUPPORT:
        return (
            EstimateStatus.OUT_OF_SUPPORT,
            "no explanation accounts for this window: it is unlike the reference",
        )
    if verdict.misfit > WIDENED:
        return EstimateStatus.WIDENED, "the explanations account for only part of what has changed"
    return EstimateStatus.OK, f"a stand-in answered: {verdict.instead}" if verdict.instead else None
