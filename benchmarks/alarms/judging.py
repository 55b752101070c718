"""One table and one model as the product would run them: a baseline, and what it says of a window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.alarms.peers import PeerRules
from benchmarks.estimation.windows import Case, Window
from mlhealth.baseline import Baseline
from mlhealth.budget import BudgetLimits, gain
from mlhealth.detectors import Panel, fit_nulls, main_drift
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.metrics import realised, reference_metrics
from mlhealth.estimators.mpp import Mpp
from mlhealth.estimators.rows import Rows
from mlhealth.events.batch import KEY, PREDICTION, TIME, EventBatch, score_columns
from mlhealth.health import HealthInputs, score
from mlhealth.layout import layout_of
from mlhealth.objective import Objective, standard_deviation
from mlhealth.profile import WindowProfile
from mlhealth.residuals import residual_nulls
from mlhealth.threads import single_threaded

SHIFTS = ("label shift", "covariate shift")
"""Explanations that name no broken column."""


@dataclass(frozen=True)
class Judged:
    """One window and what was said of it; `drop` and `loss` are in units of the tolerance's kind.

    `group`: windows of one lasting break share it. `drop`: true, from labels, with its standard error. `gain`:
    evidence in nats. `suspects`: columns named as broken, first one first. `peers`: which peers' rules alarm.
    """

    table: str
    family: str
    kind: str
    columns: tuple[str, ...]
    group: int
    drop: float
    error: float
    loss: float
    gain: float
    score: float
    suspects: tuple[str, ...]
    kinds: tuple[str, ...]
    peers: dict[str, bool]


class Judge:
    """Everything fitted on one case's reference rows, as `mlhealth.fit` fits it in full mode."""

    def __init__(self, case: Case, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.case = case
        batch = batch_of(case.reference)
        layout = layout_of(batch)
        profile = WindowProfile.of(batch, layout)
        inputs = FitInputs(case.reference, ("accuracy",), case.train, case.scorer, seed)
        with single_threaded():
            self._estimator = Mpp.fit(inputs)
            self.objective = Objective.of("accuracy", case.reference.schema)
            nulls = fit_nulls(profile, rng, batch=batch)
            nulls |= residual_nulls(self._estimator, case.reference, self.objective, rng)
        baseline = Baseline(
            schema=case.reference.schema,
            layout=layout,
            reference=profile,
            rows=batch.table,
            metrics=reference_metrics(case.reference, ("accuracy",)),
            primary="accuracy",
            estimators={},
            nulls=nulls,
            mode="full",
            seed=seed,
        )
        self._layout = layout
        self._panel = Panel(baseline)
        self.limits = BudgetLimits.of(baseline, self.objective)
        self._peers = PeerRules(case.reference, self.limits.objective.metric)
        self._reference = baseline.metrics["accuracy"].value

    def __call__(self, window: Window, group: int) -> Judged | None:
        """Return what is said of a window; None where no estimate or no truth can be had."""
        profile = WindowProfile.of(batch_of(window.rows), self._layout)
        results, quality = self._panel.judge(profile)
        unlabelled = replace(window.rows, label=None)
        with single_threaded():
            estimates = self._estimator.estimate(unlabelled, scorer=self.case.scorer)
            told = self._estimator.explain(unlabelled, scorer=self.case.scorer)
        health = score(HealthInputs(self.objective, estimates, main_drift(results), quality))
        estimate, truth = estimates["accuracy"], realised(window.rows, ("accuracy",))["accuracy"]
        deviation = standard_deviation(estimate, self.objective)
        if None in (estimate.value, truth.value, deviation, health.score):
            return None
        loss = self.objective.loss(_number(estimate.value), self._reference)
        named = [c for e in told if e.kind not in SHIFTS for c in e.columns]
        named += [r.feature for r in health.reasons if r.feature]
        return Judged(
            window.rows.schema.model,
            window.family,
            window.kind,
            window.columns,
            group,
            self.objective.loss(_number(truth.value), self._reference),
            _number(truth.standard_error),
            loss,
            gain(loss, _number(deviation), len(window.rows), self.limits),
            _number(health.score),
            tuple(dict.fromkeys(n for n in named if not n.startswith("__"))),
            tuple(e.kind for e in told),
            self._peers(window.rows),
        )


def batch_of(rows: Rows) -> EventBatch:
    """Return rows of a benchmark as a batch of events."""
    schema = rows.schema
    columns: dict[str, Any] = {
        KEY: pa.array(np.arange(len(rows), dtype=np.uint64)),
        TIME: pa.array(np.arange(len(rows))),
        PREDICTION: pa.array(rows.prediction.astype(np.int16)),
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
