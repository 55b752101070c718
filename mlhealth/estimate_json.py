"""A `WindowReport` as the JSON that `mlhealth estimate` prints: one object, finite numbers only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mlhealth.records import DetectorResult, PerformanceEstimate, WindowReport


def report_to_dict(report: WindowReport, *, window: int, start: str | int, end: str | int) -> dict[str, Any]:
    """Return the report as plain data; `start` and `end` as they are to be shown: ISO times or row numbers."""
    found: dict[str, Any] = {
        "window": window,
        "rows": report.rows,
        "start": start,
        "end": end,
        "estimates": {name: _estimate(e) for name, e in report.estimates.items()},
        "health": {
            "score": report.health.score,
            "status": str(report.health.status),
            "reasons": [reason.text for reason in report.health.reasons],
            "metric": report.health.metric,
            "tolerance": report.health.tolerance,
            "cause": None if report.health.cause is None else str(report.health.cause),
            "parts": dict(report.health.parts),
        },
        "drift": {feature: _drift(result) for feature, result in report.drift.items()},
        "quality": {
            name: {
                "missing": q.missing,
                "unseen": q.unseen,
                "out_of_range": q.out_of_range,
                "non_finite": q.non_finite,
                "faults": list(q.faults),
            }
            for name, q in report.quality.items()
        },
        "detectors": [_detector(result) for result in report.detectors],
        "faults": [asdict(fault) for fault in report.faults],
        "costs": [asdict(cost) for cost in report.costs],
    }
    if report.events is not None:
        found |= {"events": report.events, "effective_rows": report.effective_rows}
    if report.key.segment:
        found["segment"] = report.key.segment
    if report.realized:
        found["realized"] = dict(report.realized)
    return found


def _estimate(estimate: PerformanceEstimate) -> dict[str, Any]:
    found: dict[str, Any] = {
        "value": estimate.value,
        "lower": estimate.lower,
        "upper": estimate.upper,
        "status": str(estimate.status),
        "method": estimate.method,
        "reference": estimate.reference,
        "level": estimate.level,
    }
    told = {"explanation": estimate.explanation, "note": estimate.note}
    return found | {key: text for key, text in told.items() if text is not None}


def _drift(result: DetectorResult) -> dict[str, Any]:
    return {
        "statistic": result.statistic,
        "threshold": result.threshold,
        "drifted": result.drifted,
        "detector": result.detector,
    }


def _detector(result: DetectorResult) -> dict[str, Any]:
    return {
        "detector": result.detector,
        "feature": result.feature,
        "statistic": result.statistic,
        "threshold": result.threshold,
        "drifted": result.drifted,
        "p_value": result.p_value,
        "effect": result.effect,
        "note": result.note,
    }
