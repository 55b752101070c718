"""What a rule can speak of: a window report as the variables of its expression and of its templates.

The names below are the whole vocabulary. A rule that uses any other is refused when it is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlhealth.clock import HOUR, to_minute
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

HIGHER_IS_BETTER: Mapping[str, bool] = {
    "accuracy": True,
    "balanced_accuracy": True,
    "roc_auc": True,
    "average_precision": True,
    "f1": True,
    "precision": True,
    "recall": True,
    "log_loss": False,
    "brier": False,
    "mae": False,
    "rmse": False,
    "mape": False,
    "r2": True,
}
"""The plain metrics a rule may name, and whether more of each is better."""

PARAMETRIC = {"confusion": True, "cost": False, "value": True}
"""Metrics whose name goes on after a colon, such as `cost:0,1;5,0`."""

ANY = "*"
"""Stands for a feature, metric or part that only the report knows."""

VOCABULARY: Mapping[str, Any] = {
    "model": None,
    "version": None,
    "segment": None,
    "rows": None,
    "window": {"start": None, "end": None, "rows": None, "revision": None},
    "health": {
        "score": None, "status": None, "metric": None, "tolerance": None, "cause": None, "reasons": None,
        "parts": {ANY: None},
    },
    "estimates": {
        ANY: {
            "value": None, "lower": None, "upper": None, "reference": None, "drop": None, "status": None,
            "method": None, "explanation": None, "note": None,
        }
    },
    "drift": {
        ANY: {
            "statistic": None, "threshold": None, "drifted": None, "p_value": None, "effect": None,
            "detector": None, "rows": None,
        }
    },
    "quality": {
        ANY: {"missing": None, "unseen": None, "out_of_range": None, "non_finite": None, "faults": None}
    },
    "realized": {ANY: None},
    "record": {
        ANY: {"windows": None, "error": None, "bias": None, "coverage": None, "recent": None, "recent_bias": None}
    },
    "volume": {"rows": None, "events": None, "rejected": None, "late": None},
    "lag": {"seconds": None},
}  # fmt: skip
"""The variables and their fields; None is a leaf."""


@dataclass(frozen=True)
class Circumstances:
    """What the worker knows about a window beside its report; None where it was not measured.

    `lag_seconds`: wall time between the window's end and its close. `rejected`, `late`: rows that could not be
    used, and that came too late. `record`: by metric, how estimates of earlier windows compared with their labels.
    """

    lag_seconds: float | None = None
    rejected: int | None = None
    late: int | None = None
    record: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


NO_CIRCUMSTANCES = Circumstances()


def context_of(report: WindowReport, circumstances: Circumstances = NO_CIRCUMSTANCES) -> dict[str, Any]:
    """Return the report as plain nested data with the fields of `VOCABULARY`."""
    key = report.key
    return {
        "model": key.model,
        "version": key.version,
        "segment": key.segment,
        "rows": report.rows,
        "window": {"start": key.start, "end": key.end, "rows": report.rows, "revision": report.revision},
        "health": _health(report.health),
        "estimates": {name: _estimate(e) for name, e in report.estimates.items()},
        "drift": {name: _drift(d) for name, d in report.drift.items()},
        "quality": {name: _quality(q) for name, q in report.quality.items()},
        "realized": {name: float(value) for name, value in report.realized.items()},
        "record": {name: dict(numbers) for name, numbers in circumstances.record.items()},
        "volume": {
            "rows": report.rows,
            "events": report.volume,
            "rejected": circumstances.rejected,
            "late": circumstances.late,
        },
        "lag": {"seconds": circumstances.lag_seconds},
    }


def drop_of(estimate: PerformanceEstimate) -> float | None:
    """Return how much worse than the reference the estimate is, in the metric's unit; negative when better."""
    if estimate.value is None or estimate.reference is None:
        return None
    fall = estimate.reference - estimate.value
    return fall if is_better_higher(estimate.metric) else -fall


def is_metric(name: str) -> bool:
    """Return whether a report may hold a metric of this name."""
    return name in HIGHER_IS_BETTER or name.partition(":")[0] in PARAMETRIC


def is_better_higher(metric: str) -> bool:
    """Return whether more of the metric is better."""
    return HIGHER_IS_BETTER.get(metric, PARAMETRIC.get(metric.partition(":")[0], True))


def example_circumstances(metrics: Iterable[str] = tuple(HIGHER_IS_BETTER)) -> Circumstances:
    """Return made-up circumstances in which nothing is unknown, for the same use as `example_report`."""
    numbers = {"error": 0.02, "bias": 0.01, "coverage": 0.9, "recent": 0.81, "recent_bias": 0.01}
    return Circumstances(30.0, 3, 2, {metric: {"windows": 40, **numbers} for metric in metrics})


def example_report(
    *, metrics: tuple[str, ...] = tuple(HIGHER_IS_BETTER), features: tuple[str, ...] = ("income",)
) -> WindowReport:
    """Return a made-up report in which nothing is unknown; rules and templates are tried on it when loaded."""
    estimates = {
        m: PerformanceEstimate(
            m, 0.812, 0.794, 0.83, EstimateStatus.OK, "example", 0.871, explanation="an example"
        )
        for m in metrics
    }
    drift = {
        f: DetectorResult("jensen_shannon", f, 0.31, 0.12, True, 0.001, 0.4, 2000, 8000) for f in features
    }
    return WindowReport(
        key=WindowKey("loan-default", "3", "", 1_767_225_600 * 1_000_000, 1_767_225_600 * 1_000_000 + HOUR),
        revision=0,
        baseline="0" * 64,
        rows=2000,
        estimates=estimates,
        health=_example_health(features),
        drift=drift,
        quality={f: FeatureQuality(0.02, 0.01, 0.03, 0.001, ("unit",)) for f in features},
        realized=dict.fromkeys(metrics, 0.808),
    )


def _example_health(features: tuple[str, ...]) -> HealthScore:
    reasons = (
        Reason("income arrives 100x too large", features[0] if features else None, Cause.BROKEN_INPUT),
    )
    return HealthScore(
        12.5, HealthStatus.CRITICAL, "accuracy", 0.05, Cause.BROKEN_INPUT, reasons, {"p_drop": 0.875}
    )


def _health(health: HealthScore) -> dict[str, Any]:
    return {
        "score": health.score,
        "status": str(health.status),
        "metric": health.metric,
        "tolerance": health.tolerance,
        "cause": None if health.cause is None else str(health.cause),
        "reasons": [reason.text for reason in health.reasons],
        "parts": {name: float(value) for name, value in health.parts.items()},
    }


def _estimate(estimate: PerformanceEstimate) -> dict[str, Any]:
    return {
        "value": estimate.value,
        "lower": estimate.lower,
        "upper": estimate.upper,
        "reference": estimate.reference,
        "drop": drop_of(estimate),
        "status": str(estimate.status),
        "method": estimate.method,
        "explanation": estimate.explanation,
        "note": estimate.note,
    }


def _drift(result: DetectorResult) -> dict[str, Any]:
    return {
        "statistic": result.statistic,
        "threshold": result.threshold,
        "drifted": result.drifted,
        "p_value": result.p_value,
        "effect": result.effect,
        "detector": result.detector,
        "rows": result.rows,
    }


def _quality(quality: FeatureQuality) -> dict[str, Any]:
    return {
        "missing": float(quality.missing),
        "unseen": float(quality.unseen),
        "out_of_range": float(quality.out_of_range),
        "non_finite": float(quality.non_finite),
        "faults": list(quality.faults),
    }


def window_text(key: WindowKey) -> str:
    """Return a window in words; windows of files carry row numbers instead of times.

    >>> window_text(WindowKey("m", "1", "", 0, 2000))
    'rows 0 to 2000'
    >>> window_text(WindowKey("m", "1", "", 20_000 * 24 * HOUR, 20_000 * 24 * HOUR + HOUR))
    '2024-10-04 00:00 to 01:00 UTC'
    """
    if key.end < 1_000_000_000_000:
        return f"rows {key.start} to {key.end}"
    start, end = to_minute(key.start), to_minute(key.end)
    return f"{start.removesuffix(' UTC')} to {end[11:] if start[:10] == end[:10] else end}"
