"""Window reports made by hand: a calm stretch, a fall with its reasons, an unknown window and a recovery."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mlhealth.clock import HOUR, from_iso
from mlhealth.records import (
    Cause,
    DetectorResult,
    EstimateStatus,
    FeatureQuality,
    HealthScore,
    HealthStatus,
    PerformanceEstimate,
    Reason,
    WindowKey,
    WindowReport,
)

START = from_iso("2026-03-01T00:00:00Z")
FEATURES = (
    "income",
    "age",
    "debt_ratio",
    "region",
    "employment_years",
    "loan_amount",
    "purpose",
    "has_guarantor",
)


@dataclass(frozen=True)
class Story:
    """Of which model, over how many windows of one hour, where it falls and where nothing can be told."""

    model: str = "loan-default"
    version: str = "3"
    windows: int = 48
    falls: range = range(28, 38)
    unknown: range = range(40, 42)
    gap: range = range(12, 14)
    features: tuple[str, ...] = FEATURES
    metric: str = "accuracy"


def reports(story: Story = Story()) -> list[WindowReport]:
    """Return the story's reports in order of time."""
    return [report(story, n) for n in range(story.windows) if n not in story.gap]


def report(story: Story, n: int) -> WindowReport:
    """Return the report of window `n`."""
    falling, unknown = n in story.falls, n in story.unknown
    value = None if unknown else (0.745 if falling else 0.88) + 0.008 * math.sin(n * 1.7)
    estimate = _estimate(story.metric, value)
    if falling:
        estimate = replace(estimate, explanation="income arrives 100× too large")
    key = WindowKey(story.model, story.version, "", START + n * HOUR, START + (n + 1) * HOUR)
    drift = {name: _drift(name, n, falling=falling, unknown=unknown) for name in story.features}
    quality = {
        name: FeatureQuality(
            missing=0.01,
            unseen=0.0,
            out_of_range=0.98 if falling and name == "income" else 0.002,
            non_finite=0.0,
            faults=("out of range",) if falling and name == "income" else (),
        )
        for name in story.features
    }
    realized = (
        {} if value is None or n > story.windows - 8 else {story.metric: value + 0.006 * math.cos(n * 2.3)}
    )
    confusion = {} if value is None else _confusion(value)
    return WindowReport(
        key=key,
        revision=0,
        baseline="f3a9c1d27b",
        rows=2000 + 137 * (n % 7),
        estimates={story.metric: estimate, "roc_auc": _estimate("roc_auc", value and value + 0.03)}
        | confusion,
        health=_health(story, estimate, falling=falling),
        drift=drift,
        detectors=tuple(drift.values()),
        quality=quality,
        realized=realized,
    )


def _estimate(metric: str, value: float | None) -> PerformanceEstimate:
    if value is None:
        note = "the window has 12 rows; at least 50 are needed"
        return PerformanceEstimate(
            metric, None, None, None, EstimateStatus.NOT_IDENTIFIABLE, "ensemble", 0.882, note=note
        )
    return PerformanceEstimate(
        metric, value, value - 0.021, value + 0.017, EstimateStatus.OK, "ensemble", 0.882
    )


def _confusion(value: float) -> dict[str, PerformanceEstimate]:
    cells = {"0:0": 0.7 * value, "0:1": 0.6 * (1 - value), "1:0": 0.4 * (1 - value), "1:1": 0.3 * value}
    return {f"confusion:{cell}": _estimate(f"confusion:{cell}", share) for cell, share in cells.items()}


def _drift(name: str, n: int, *, falling: bool, unknown: bool) -> DetectorResult:
    if unknown:
        return DetectorResult("jensen_shannon", name, None, None, drifted=False, note="too few rows")
    calm = 0.03 + 0.012 * math.sin(n * (1 + len(name)) + len(name))
    statistic = {"income": 0.41, "debt_ratio": 0.09}.get(name, calm) if falling else calm
    return DetectorResult("jensen_shannon", name, statistic, 0.05, drifted=statistic > 0.05, rows=2000)


def _health(story: Story, estimate: PerformanceEstimate, *, falling: bool) -> HealthScore:
    if estimate.value is None:
        text = f"The {story.metric} of this window cannot be told: {estimate.note}"
        untold = (Reason(text, cause=Cause.CANNOT_TELL),)
        return HealthScore(None, HealthStatus.UNKNOWN, story.metric, 0.05, Cause.CANNOT_TELL, untold)
    drop = 0.98 if falling else 0.03
    reasons = (
        (
            Reason("Estimated accuracy fell from 88.2 % to 74.5 %", cause=Cause.BROKEN_INPUT),
            Reason(
                "income arrives 100× too large: 98 % of its values are out of range",
                "income",
                Cause.BROKEN_INPUT,
            ),
            Reason("debt_ratio moved with it", "debt_ratio", Cause.BROKEN_INPUT),
        )
        if falling
        else (Reason("Estimated accuracy is within its tolerance"),)
    )
    parts = {
        "probability_of_drop": drop,
        "value": estimate.value,
        "drifted_features": 0.25 if falling else 0.0,
    }
    parts["faulty_features"] = 0.125 if falling else 0.0
    status = HealthStatus.CRITICAL if falling else HealthStatus.HEALTHY
    cause = Cause.BROKEN_INPUT if falling else None
    return HealthScore(100 * (1 - drop), status, story.metric, 0.05, cause, reasons, parts)
