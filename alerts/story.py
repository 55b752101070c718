"""Writes the story of an alert from its window's report: what happened, how bad, whose, and why."""

from __future__ import annotations

from mlhealth.alerts.context import HIGHER_IS_BETTER, window_text
from mlhealth.alerts.notice import Story
from mlhealth.alerts.templates import number, percent
from mlhealth.causes.owners import whom_to_call
from mlhealth.records import AlertState, EstimateStatus, HealthStatus, PerformanceEstimate, WindowReport

TOP_REASONS = 5
_FRACTIONS = {name for name in HIGHER_IS_BETTER if name not in ("mae", "rmse", "r2", "log_loss", "brier")}


def story_of(alert_name: str, state: AlertState, report: WindowReport, done: tuple[str, ...] = ()) -> Story:
    """Return the story of an alert that has just come into `state` with `report`."""
    health, key = report.health, report.key
    subject = f"{key.model} version {key.version}{f' ({key.segment})' if key.segment else ''}"
    cause = str(health.cause) if health.cause else "no single cause stands out"
    harm = harm_text(report)
    is_over = state is AlertState.RESOLVED
    what = f"{alert_name} is over" if is_over else f"{alert_name} ({cause})"
    if is_over and health.status is not HealthStatus.HEALTHY:
        harm = "; ".join(text for text in (harm, f"health is still {health.status}") if text)
    short = "" if is_over else harm_text(report, interval=False)
    return Story(
        title=f"{subject}: {what}{f': {short}' if short else ''}",
        cause=cause,
        owner=whom_to_call(health.cause),
        harm=harm or f"health is {health.status}",
        window=f"{window_text(key)}, {report.rows} rows",
        reasons=() if is_over else _reasons(report),
        done=done,
    )


def _reasons(report: WindowReport) -> tuple[str, ...]:
    """Return the first reasons, but for the one that says whom to call: that stands on its own."""
    whom = whom_to_call(report.health.cause)
    return tuple(reason.text for reason in report.health.reasons if whom not in reason.text)[:TOP_REASONS]


def harm_text(report: WindowReport, *, interval: bool = True) -> str:
    """Return how bad it is in one sentence, from the primary metric's estimate; "" where there is none."""
    estimate = report.estimates.get(report.health.metric)
    if estimate is None:
        return ""
    name = estimate.metric.replace("_", " ")
    if estimate.value is None:
        return f"{name} cannot be estimated{f': {estimate.note}' if estimate.note else ''}"
    was = f", was {_value(estimate.metric, estimate.reference)}" if estimate.reference is not None else ""
    between = _interval(estimate) if interval else ""
    return f"estimated {name} {_value(estimate.metric, estimate.value)}{between}{was}"


def _interval(estimate: PerformanceEstimate) -> str:
    if estimate.lower is None or estimate.upper is None:
        return ""
    doubt = "" if estimate.status is EstimateStatus.OK else f", {str(estimate.status).replace('_', ' ')}"
    low, high = _value(estimate.metric, estimate.lower), _value(estimate.metric, estimate.upper)
    return f" ({low} to {high}{doubt})"


def _value(metric: str, value: float | None) -> str:
    return percent(value) if metric in _FRACTIONS else number(value)
