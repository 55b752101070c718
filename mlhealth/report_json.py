"""A `WindowReport` as JSON data and back, so that the store keeps all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

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


def to_data(report: WindowReport) -> dict[str, Any]:
    """Return the report as plain data: dicts, lists, texts, finite numbers and None."""
    return asdict(report)


def from_data(data: Mapping[str, Any]) -> WindowReport:
    """Return the report that `to_data` told."""
    return WindowReport(
        key=WindowKey(**data["key"]),
        revision=data["revision"],
        baseline=data["baseline"],
        rows=data["rows"],
        estimates={name: _estimate(e) for name, e in data["estimates"].items()},
        health=_health(data["health"]),
        drift={name: DetectorResult(**d) for name, d in data["drift"].items()},
        detectors=tuple(DetectorResult(**d) for d in data["detectors"]),
        quality={
            name: FeatureQuality(**{**q, "faults": tuple(q["faults"])}) for name, q in data["quality"].items()
        },
        realized=dict(data["realized"]),
    )


def _estimate(data: Mapping[str, Any]) -> PerformanceEstimate:
    return PerformanceEstimate(**{**data, "status": EstimateStatus(data["status"])})


def _health(data: Mapping[str, Any]) -> HealthScore:
    reasons = tuple(Reason(r["text"], r["feature"], _cause(r["cause"])) for r in data["reasons"])
    return HealthScore(
        **{**data, "status": HealthStatus(data["status"]), "cause": _cause(data["cause"]), "reasons": reasons}
    )


def _cause(value: str | None) -> Cause | None:
    return None if value is None else Cause(value)
