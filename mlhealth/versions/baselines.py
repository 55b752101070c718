"""Two baselines side by side: what a refreshed one would change."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mlhealth.baseline.record import Baseline
from mlhealth.budget.cost import soon
from mlhealth.budget.limits import BudgetLimits
from mlhealth.detectors import Panel, main_drift
from mlhealth.errors import ConfigError
from mlhealth.events.batch import EventBatch
from mlhealth.objective import Objective
from mlhealth.profile.window_profile import WindowProfile

SHOWN = 10
"""Columns compared at most, the most moved first."""
ROWS = 1_000
"""Rows of the windows for which it is told how soon a loss pages."""


@dataclass(frozen=True)
class MetricChange:
    """A reference metric in both, with the difference in standard errors of both together."""

    metric: str
    before: float | None
    after: float | None
    sigmas: float | None


@dataclass(frozen=True)
class ColumnChange:
    """How far a column of the new reference lies from the old one."""

    column: str
    distance: float
    threshold: float | None
    drifted: bool


@dataclass(frozen=True)
class BaselineComparison:
    """What differs between the active baseline and a proposed one.

    `columns`: the most moved first. `limits`: evidence a page is worth; `found`: windows of 1,000 rows until a lasting
    loss of the tolerance pages, None where it would not.
    """

    before: str
    after: str
    rows: tuple[int, int]
    metrics: tuple[MetricChange, ...]
    columns: tuple[ColumnChange, ...]
    limits: tuple[float, float]
    found: tuple[int | None, int | None]
    warnings: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """Return the comparison as JSON-able data."""
        return asdict(self)


def compare_baselines(before: Baseline, after: Baseline) -> BaselineComparison:
    """Return what `after` changes; raises ConfigError where they speak of different models."""
    names = [f"{b.schema.model} version {b.schema.version}" for b in (before, after)]
    if names[0] != names[1]:
        raise ConfigError(f"the baselines are of {names[0]} and {names[1]}: compare those of one version")
    metrics = tuple(_metric(before, after, name) for name in dict.fromkeys((*before.metrics, *after.metrics)))
    first, second = (BudgetLimits.of(b, Objective.of(b.primary, b.schema)) for b in (before, after))
    tolerance = first.objective.tolerance
    return BaselineComparison(
        before.hash,
        after.hash,
        (before.reference.rows, after.reference.rows),
        metrics,
        _columns(before, after),
        (first.limit, second.limit),
        (soon(tolerance, ROWS, first), soon(tolerance, ROWS, second)),
        tuple(_warnings(before, after)),
    )


def _metric(before: Baseline, after: Baseline, name: str) -> MetricChange:
    a, b = before.metrics.get(name), after.metrics.get(name)
    if a is None or b is None:
        return MetricChange(name, None if a is None else a.value, None if b is None else b.value, None)
    error = float(np.hypot(a.standard_error, b.standard_error))
    return MetricChange(name, a.value, b.value, (b.value - a.value) / error if error else None)


def _columns(before: Baseline, after: Baseline) -> tuple[ColumnChange, ...]:
    """Return how the new reference rows would be judged as a window by the old baseline."""
    rows = EventBatch(before.schema, after.rows)
    found = main_drift(Panel(before).run(WindowProfile.of(rows, before.layout)))
    changes = [
        ColumnChange(name, r.statistic, r.threshold, r.drifted)
        for name, r in found.items()
        if r.statistic is not None
    ]
    return tuple(sorted(changes, key=lambda c: (not c.drifted, -c.distance))[:SHOWN])


def _warnings(before: Baseline, after: Baseline) -> list[str]:
    found = []
    old, new = before.reference.rows, after.reference.rows
    if new < old / 2:
        found.append(f"it rests on {new:,} rows, the active one on {old:,}")
    name, objective = before.primary, Objective.of(before.primary, before.schema)
    if name in after.metrics:
        value, usual = after.metrics[name].value, before.metrics[name].value
        if objective.loss(value, usual) > objective.tolerance / 2.0:
            found.append(
                f"{name} is {value:.3f} in it, {usual:.3f} in the active one: approving it makes that loss normal"
            )
    return found
