"""What a retraining request takes along beside its report: the rows of the window that are best labelled first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from mlhealth.alerts.engine import Step
from mlhealth.alerts.rules import RuleSet
from mlhealth.errors import MlhealthError
from mlhealth.events.batch import KEY
from mlhealth.labels.suggestion import Wanted, suggest_within
from mlhealth.records import RetrainingRequest, RetrainingStatus
from mlhealth.store.alert_tables import record


def record_steps(connection: Connection, steps: Sequence[Step], rules: RuleSet, now: int) -> None:
    """Write what windows did to their alerts; requests that go out name a sample to label, kept as a draw."""
    for step in steps:
        requests = tuple(_with_sample(connection, request, rules, now) for request in step.requests)
        record(connection, replace(step, requests=requests), now)


def _with_sample(
    connection: Connection, request: RetrainingRequest, rules: RuleSet, now: int
) -> RetrainingRequest:
    rule = rules.get(request.rule)
    count = rule.retrain.policy.sample if rule is not None and rule.retrain is not None else 0
    if count == 0 or request.status is not RetrainingStatus.REQUESTED:
        return request
    return replace(request, evidence={**request.evidence, "sample": _sample(connection, request, count, now)})


def _sample(connection: Connection, request: RetrainingRequest, count: int, now: int) -> dict[str, Any]:
    name, window = (request.model, request.version), request.evidence["window"]
    assert isinstance(window, dict)
    try:
        found = suggest_within(connection, name, window["start"], Wanted(count=count), now)
    except MlhealthError as error:
        return {"rows": [], "why": str(error)}
    return {
        "metric": found.metric,
        "half_width": found.half_width,
        "of": found.kept,
        "rows": _rows(found.table),
    }


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return who the rows are, and how likely each was to be drawn: no features, which the training has anyway."""
    names = table.column_names
    known = {"key" if name == KEY else "id": name for name in names[: names.index("time")]}
    columns = {**known, "time": "time", "prediction": "prediction", "probability": "probability"}
    return [
        {ours: row[theirs] for ours, theirs in columns.items() if row[theirs] is not None}
        for row in table.to_pylist()
    ]
