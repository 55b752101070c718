"""Rules and thresholds in the audit trail: what is in force at the first start, and every change after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlhealth.alerts.changes import Changes
from mlhealth.alerts.rules import Known
from mlhealth.alerts.service import RuleBook
from mlhealth.clock import ManualClock
from mlhealth.config.models import ModelConfig
from mlhealth.store import audit
from mlhealth.store.database import Database
from tests.alert_rules import DESIGN_RULE, store


def entries(database: Database) -> list[tuple[str, str, Any]]:
    """Return the trail: action, subject, detail without digests."""
    with database.read() as connection:
        assert audit.verify(connection).ok
        rows = list(audit.export(connection))
    found = [(row["action"], row["subject"], json.loads(row["detail"])) for row in rows]
    return [(a, s, {k: v for k, v in d.items() if v and k != "digests"}) for a, s, d in found]


def test_changed_rules_and_thresholds_are_noted_once(tmp_path: Path) -> None:
    """The first start notes all; a restart that says the same nothing; a hot reload the rule that changed."""
    database, file = store(tmp_path), tmp_path / "rules.yaml"
    file.write_text(DESIGN_RULE)
    book = RuleBook([str(file)], Known())
    models = {"loan-default": ModelConfig(tolerance=0.05, scorer="https://u:secret@model.example")}
    changes = Changes(database, lambda: book.rules, models, ManualClock(1))
    for _ in range(3):
        changes.turn()
    Changes(database, lambda: book.rules, models, ManualClock(2)).turn()
    (rules, thresholds) = entries(database)
    assert rules[:2] == ("rules.change", "rules")
    (name,) = rules[2]["added"]
    assert rules[2]["added"][name]["when"] == 'health.status == "critical"'
    assert thresholds[:2] == ("thresholds.change", "loan-default")
    assert thresholds[2]["added"]["tolerance"] == 0.05
    assert "secret" not in str(entries(database))

    file.write_text(DESIGN_RULE.replace("for: 1 ", "for: 2h"))
    assert book.reload()
    changes.turn()
    (*_, last) = entries(database)
    assert last[2]["changed"][name]["for"] == {"windows": 0, "micros": 7_200_000_000}
    assert last[2]["sources"] == [str(file)]
    looser = {"loan-default": ModelConfig(tolerance=0.1)}
    Changes(database, lambda: book.rules, looser, ManualClock(3)).turn()
    (*_, last) = entries(database)
    assert last[2] == {"changed": {"tolerance": 0.1}}
