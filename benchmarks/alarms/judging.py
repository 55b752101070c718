"""One table and one model as the product would run them: a baseline, and what it says of a window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.alarms.judging_records import Judged
from benchmarks.alarms.streams import Truth
from benchmarks.estimation.windows import Case, Window
from mlhealth.baseline.record import Baseline
from mlhealth.budget.limits import AlarmBudget, BudgetLimits
from mlhealth.budget.residuals import residual_nulls
from mlhealth.causes.broken import broken_columns
from mlhealth.clock import DAY, HOUR, MINUTE
from mlhealth.detectors import Panel, fit_nulls, main_drift
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.metrics import realised, reference_metrics
from mlhealth.estimators.mpp import Mpp
from mlhealth.estimators.rows import Rows
from mlhealth.events.batch import KEY, PREDICTION, TIME, EventBatch, score_columns
from mlhealth.health import HealthInputs, score
from mlhealth.objective import standard_deviation
from mlhealth.profile.layout import layout_of
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.threads import single_threaded

RATES = {"15 minutes": 15 * MINUTE, "1 hour": HOUR, "1 day": DAY}
"""Window lengths at which the budget is tried."""
NULLS = {"bootstrap": True, "bound": False}
"""Ways to find the limit, and whether they draw from reference windows."""


@dataclass(frozen=True)
class Known:
    """What is known of a window beside its rows: its `group`, what lasts of its loss, names that fit its fault."""

    group: float = 0.0
    lasting: float = 0.0
    names: frozenset[str] = frozenset()


class Judge:
    """Everything fitted on one case's reference rows, as `mlhealth.fit` fits it in full mode."""

    def __init__(self, case: Case, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.case = case
        self.truth = Truth.of(case.reference)
        self.objective = self.truth.objective
        metrics = (self.objective.metric,)
        batch = batch_of(case.reference)
        layout = layout_of(batch)
        profile = WindowProfile.of(batch, layout)
        inputs = FitInputs(case.reference, metrics, case.train, case.scorer, seed)
        with single_threaded():
            self._estimator = Mpp.fit(inputs)
            nulls = fit_nulls(profile, rng, batch=batch)
            nulls |= residual_nulls(self._estimator, case.reference, [self.objective], rng)
        baseline = Baseline(
            schema=case.reference.schema,
            layout=layout,
            reference=profile,
            rows=batch.table,
            metrics=reference_metrics(case.reference, metrics),
            primary=self.objective.metric,
            estimators={},
            nulls=nulls,
            mode="full",
            seed=seed,
        )
        self._layout = layout
        self._panel = Panel(baseline)
        self.limits = {
            (name, rate): BudgetLimits.of(
                baseline, self.objective, AlarmBudget(), window=width, bootstrapped=drawn
            )
            for name, drawn in NULLS.items()
            for rate, width in RATES.items()
        }

    def __call__(self, window: Window, key: str, known: Known) -> Judged | None:
        """Return what is said of a window; None where no estimate or no truth can be had."""
        profile = WindowProfile.of(batch_of(window.rows), self._layout)
        results, quality = self._panel.judge(profile)
        drift = main_drift(results)
        unlabelled = replace(window.rows, label=None)
        with single_threaded():
            estimates = self._estimator.estimate(unlabelled, scorer=self.case.scorer)
        metric = self.objective.metric
        estimate = estimates[metric]
        faults = broken_columns(self.case.reference, unlabelled, (drift, quality), estimate.faults)
        health = score(HealthInputs(self.objective, estimates, drift, quality, faults=faults))
        truth = realised(window.rows, (metric,))[metric]
        deviation = standard_deviation(estimate, self.objective)
        if None in (estimate.value, truth.value, deviation, health.score):
            return None
        # In the order in which a reader meets them: the faults, then whatever else the reasons name.
        suspects = [f.column for f in faults] + [r.feature for r in health.reasons if r.feature]
        return Judged(
            key=key,
            table=window.rows.schema.model,
            family=window.family,
            kind=window.kind,
            columns=window.columns,
            group=known.group,
            rows=len(window.rows),
            drop=self.truth.of_value(_number(truth.value)),
            error=self._scaled(_number(truth.standard_error)),
            lasting=known.lasting,
            loss=self.truth.of_value(_number(estimate.value)),
            deviation=_number(deviation) * self.truth.unit,
            score=_number(health.score),
            suspects=tuple(dict.fromkeys(n for n in suspects if not n.startswith("__"))),
            kinds=tuple(f.kind for f in faults if f.column in window.columns),
            names=tuple(sorted(known.names)),
        )

    def _scaled(self, amount: float) -> float:
        return self.objective.scaled(amount, self.truth.reference) * self.truth.unit


def batch_of(rows: Rows) -> EventBatch:
    """Return rows of a benchmark as a batch of events."""
    schema = rows.schema
    columns: dict[str, Any] = {
        KEY: pa.array(np.arange(len(rows), dtype=np.uint64)),
        TIME: pa.array(np.arange(len(rows))),
        PREDICTION: pa.array(rows.prediction.astype(np.int16 if schema.is_classification else np.float64)),
    }
    if rows.scores is not None:
        given = rows.scores[:, -1:] if len(schema.scores) == 1 else rows.scores
        columns |= {name: pa.array(given[:, i]) for i, name in enumerate(score_columns(schema))}
    for feature in schema.features:
        values = rows.features[feature.name]
        if feature.name in schema.numeric:
            columns[feature.name] = pa.array(values.to_numpy(float))
        else:
            texts = values.astype(object).where(values.notna(), None)
            columns[feature.name] = pa.array([None if v is None else str(v) for v in texts], type=pa.string())
    return EventBatch(schema, pa.table(columns))


def _number(value: float | None) -> float:
    assert value is not None
    return float(value)
