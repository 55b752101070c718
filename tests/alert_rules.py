"""Rules, reports and stores that tests of alerting share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlhealth.alerts.context import example_report
from mlhealth.alerts.engine import EngineState, Step, step
from mlhealth.alerts.rules import RuleSet, parse_rules
from mlhealth.clock import HOUR
from mlhealth.records import Cause, HealthScore, HealthStatus, Reason, WindowReport
from mlhealth.store import alert_tables
from mlhealth.store.database import Database
from mlhealth.store.tables import metadata

DESIGN_RULE = """
rules:
  - alert: PredictedAccuracyDrop
    when: health.status == "critical"     # or any expression over the report: estimates, health, drift, volume, lag
    for: 1                              # windows; the budget already guards against noise
    severity: page
    annotations: {summary: "{{ model }} answers {{ estimates.accuracy.value | percent }} right, was {{ estimates.accuracy.reference | percent }}"}
    notify: [oncall]
    retrain: gpu
"""  # noqa: E501 - as the guide shows it


def window(
    n: int, status: str = "critical", cause: Cause | None = Cause.MODEL_WRONG, **key: str
) -> WindowReport:
    """Return the report of the n-th hour, of loan-default 3 unless `key` says otherwise."""
    report = example_report(metrics=("accuracy", "roc_auc"))
    start = report.key.start + n * HOUR
    score = {"critical": 5.0, "degraded": 60.0, "healthy": 99.0}.get(status)
    reasons = (Reason("accuracy fell", cause=cause),) if status != "healthy" else ()
    health = HealthScore(
        score, HealthStatus(status), "accuracy", 0.05, None if status == "healthy" else cause, reasons
    )
    return replace(report, key=replace(report.key, start=start, end=start + HOUR, **key), health=health)


def fold(rules: RuleSet, reports: list[WindowReport], state: EngineState | None = None) -> list[Step]:
    """Return the steps of reports in order."""
    steps: list[Step] = []
    at = state or EngineState()
    for report in reports:
        steps.append(step(rules, report, at))
        at = steps[-1].state
    return steps


def design_rules() -> RuleSet:
    """Return the rule that the guide shows."""
    return parse_rules(DESIGN_RULE)


def store(folder: Path) -> Database:
    """Return a new SQLite store with every table."""
    return store_at(f"sqlite:///{folder / 'alerts.db'}")


def store_at(url: str) -> Database:
    """Return the store at an address, with every table."""
    database = Database.open(url)
    assert alert_tables.outbox.metadata is metadata
    metadata.create_all(database.engine)
    return database
