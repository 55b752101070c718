"""What follows a verdict: promotion or rollback at the registry, a marker, and an alert where it did not help."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from mlhealth.alerts.model_registry import ModelRegistry, Move, promote, roll_back
from mlhealth.alerts.notice import fingerprint
from mlhealth.alerts.retraining.judge import NO_VERSION, NOT_RECOVERED, RECOVERED, Verdict
from mlhealth.config.receivers import TrainingConfig
from mlhealth.store.alert_tables import outbox
from mlhealth.store.markers import Marker, mark
from mlhealth.store.service_alerts import Trouble, end_alert, firing, raise_alert

LOG = logging.getLogger("mlhealth.alerts")
RULE = "RetrainingDidNotHelp"
ACTOR = "mlhealth"


@dataclass(frozen=True)
class Consequence:
    """What a verdict led to at the registry; `move` is None where the policy asks for nothing."""

    verdict: Verdict
    move: Move | None = None

    @property
    def action(self) -> str | None:
        """The move in words."""
        return None if self.move is None else self.move.text


def follow(
    registry: ModelRegistry | None, row: Row[Any], config: TrainingConfig, verdict: Verdict
) -> Consequence:
    """Do what the policy says at the registry; raises DeliveryError or PermanentError, and may be called again."""
    if registry is None or row.new_version is None or verdict.text == NO_VERSION:
        return Consequence(verdict)
    move = None
    if verdict.text == RECOVERED and config.promote:
        move = promote(registry, row.model, row.new_version)
    elif verdict.text == NOT_RECOVERED and config.rollback:
        move = roll_back(registry, row.model, row.new_version, row.version)
    registry.tag(row.model, row.new_version, {"mlhealth.request": row.id, "mlhealth.verdict": verdict.text})
    return Consequence(verdict, move)


def note(connection: Connection, row: Row[Any], done: Consequence, now: int) -> None:
    """Write what followed: the marker of a move, and the alert that says that the retraining did not help."""
    if done.move is not None and done.move.version is not None:
        kind = "promote" if done.verdict.text == RECOVERED else "rollback"
        text = f"{done.move.text}: retraining {row.id} {done.verdict.text}"
        mark(connection, Marker(row.model, done.move.version, kind, now, text, ACTOR), now)
    if done.verdict.text == RECOVERED:
        for trouble in firing(connection, [RULE]):
            if trouble.model == row.model:
                end_alert(connection, trouble, now)
        return
    raise_alert(connection, _trouble(row, done), _receivers(connection, row), now)


def _trouble(row: Row[Any], done: Consequence) -> Trouble:
    made = (
        f"version {row.new_version}"
        if row.new_version
        else "the service reported success, but no new version"
    )
    summary = f"the retraining of {row.model} {row.version} did not help: {made} {_words(done.verdict)}"
    LOG.error("retraining %s: %s", row.id, summary)
    acted = done.action or "nothing was rolled back: look at the new version, or roll back by hand"
    return Trouble(
        rule=RULE,
        model=row.model,
        version=row.version,
        summary=summary,
        owner="the model's owners, and whoever runs the training",
        reasons=(f"request {row.id} at {row.service}: {row.reason}",),
        done=(acted,),
    )


def _words(verdict: Verdict) -> str:
    return "answers" if verdict.text == NO_VERSION else "is not healthy within the windows it was given"


def _receivers(connection: Connection, row: Row[Any]) -> list[str]:
    """Return who was told of the alert that asked for the retraining."""
    mark_ = fingerprint(row.rule, row.model, row.version, "")
    query = select(outbox.c.receiver).where(outbox.c.fingerprint == mark_).distinct()
    return sorted(found.receiver for found in connection.execute(query))
