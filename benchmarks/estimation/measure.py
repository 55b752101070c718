"""Asking every estimator about every window: one record per window, method and metric."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.estimation.windows import Case, Window
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.metrics import realised
from mlhealth.estimators.registry import estimator_named
from mlhealth.estimators.rows import Rows
from mlhealth.records import EstimateStatus, PerformanceEstimate

TRAIN_ROWS = 6_000
"""Training rows that an estimator is shown where a mode allows any."""


@dataclass(frozen=True)
class Record:
    """One metric of one window by one method; `seconds` of processor time for all metrics of the window."""

    table: str
    primary: str
    family: str
    kind: str
    window: int
    rows: int
    method: str
    metric: str
    truth: float
    noise: float
    reference: float
    value: float | None
    lower: float | None
    upper: float | None
    status: str
    seconds: float
    explanation: str | None = None


@dataclass(frozen=True)
class Truth:
    """What is known of one window before any method is asked."""

    case: Case
    number: int
    window: Window
    metrics: dict[str, tuple[float, float]]
    reference: dict[str, float]

    def record(
        self, method: str, metric: str, found: PerformanceEstimate | float | None, seconds: float
    ) -> Record:
        """Return the record of one method's answer."""
        true, noise = self.metrics[metric]
        if not isinstance(found, PerformanceEstimate):
            found = PerformanceEstimate(metric, found, None, None, EstimateStatus.OK, method, None)
        return Record(
            table=self.case.table, primary=self.case.primary, family=self.window.family, kind=self.window.kind,
            window=self.number, rows=len(self.window.rows), method=method, metric=metric, truth=true, noise=noise,
            reference=self.reference[metric], value=found.value, lower=found.lower, upper=found.upper,
            status=found.status.value, seconds=seconds, explanation=found.explanation,
        )  # fmt: skip


def metrics_of(case: Case) -> tuple[str, ...]:
    """Return the metrics that are measured."""
    return ("accuracy", "roc_auc", "f1") if case.reference.schema.is_classification else ("mae", "rmse")


def truths(case: Case, windows: Sequence[Window]) -> list[Truth]:
    """Return what is known of each window, leaving out metrics that a window does not define."""
    metrics = metrics_of(case)
    reference = {m: f.value for m, f in realised(case.reference, metrics).items()}
    out = []
    for number, window in enumerate(windows):
        found = realised(window.rows, metrics)
        known = {
            m: (f.value, f.standard_error or 0.0)
            for m, f in found.items()
            if f.value is not None and reference[m] is not None
        }
        out.append(Truth(case, number, window, known, {m: v for m, v in reference.items() if v is not None}))
    return out


def baselines(truth: Truth, rng: np.random.Generator) -> Iterator[Record]:
    """Yield the rows that bound every method: the reference's value for ever, and sampling noise alone."""
    for metric, (true, noise) in truth.metrics.items():
        yield truth.record("constant", metric, truth.reference[metric], 0.0)
        yield truth.record("oracle (sampling noise)", metric, true + noise * float(rng.normal()), 0.0)


def ask(truth: Truth, name: str, method: Estimator, *, live: bool = False) -> Iterator[Record]:
    """Yield one method's answers for a window, its labels hidden."""
    hidden: Rows = replace(truth.window.rows, label=None)
    start = time.process_time()
    found = method.estimate(hidden, scorer=truth.case.scorer if live else None)
    seconds = time.process_time() - start
    for metric in truth.metrics:
        if metric in found:
            yield truth.record(name, metric, found[metric], seconds)


def fitted(case: Case, methods: Sequence[str]) -> Iterator[tuple[str, Estimator, bool, float]]:
    """Yield (name, fitted estimator, whether it may ask the scorer, seconds of fitting) for each method."""
    metrics = metrics_of(case)
    task = case.reference.schema.task
    step = max(1, len(case.train) // TRAIN_ROWS)
    train = case.train.take(np.arange(0, len(case.train), step)[:TRAIN_ROWS])
    plain = FitInputs(case.reference, metrics)
    for name in methods:
        start = time.process_time()
        method = estimator_named(name, task).fit(plain)
        yield name, method, False, time.process_time() - start
    mpp = estimator_named("mpp", task)
    start = time.process_time()
    rich = mpp.fit(replace(plain, train=train, scorer=case.scorer))
    spent = time.process_time() - start
    yield "mpp (full)", rich, True, spent
    yield "mpp (fit-time scorer)", rich, False, spent
    start = time.process_time()
    poor = mpp.fit(plain)
    yield "mpp (reference only)", poor, False, time.process_time() - start
