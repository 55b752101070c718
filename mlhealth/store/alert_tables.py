"""Tables of alerts, their delivery, silences and retraining; and `record`, which writes what a window did to them.

Times are integer microseconds: event times where a column says since, fired_at, at, data_*; else the wall clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, BigInteger, Column, Connection, Index, Integer, Table, Text, UniqueConstraint

from mlhealth.alerts.notice import Notice, to_json
from mlhealth.records import Alert, RetrainingRequest
from mlhealth.store.database import insert_missing, upsert
from mlhealth.store.tables import Serial, key, metadata

if TYPE_CHECKING:
    from mlhealth.alerts.engine import Step

alerts = Table(
    "alerts",
    metadata,
    key("fingerprint"),
    Column("rule", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("segment", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("fired_at", BigInteger),
    Column("labels", JSON, nullable=False),
    Column("annotations", JSON, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Index(None, "model", "version", "state"),
)
"""Each alert as it stands now."""

alert_transitions = Table(
    "alert_transitions",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("fingerprint", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("segment", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("annotations", JSON, nullable=False),
    Column("recorded", BigInteger, nullable=False),
    UniqueConstraint("fingerprint", "at", "state"),
    Index(None, "model", "version", "at"),
)
"""Every change of state, at the event time of the window that made it."""

acknowledgements = Table(
    "acknowledgements",
    metadata,
    key("fingerprint"),
    Column("fired_at", BigInteger, primary_key=True),
    Column("by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""Who has taken a firing alert into their hands; no reminder follows."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),
    Column("receiver", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("notice", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("batch", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("created", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False, server_default="0"),
    Column("owner", Text),
    Column("finished", BigInteger),
    Column("note", Text),
    Index(None, "state", "next_at"),
    Index(None, "fingerprint", "receiver"),
    Index(None, "receiver", "state", "finished"),
)
"""What receivers must be told. `state`: pending, delivered, superseded by later news, dropped (`note` says why),
failed (given up). `batch`: rows that were first sent together, and stay together when sent again."""

notification_log = Table(
    "notification_log",
    metadata,
    key("receiver"),
    key("fingerprint"),
    Column("offered", Text, nullable=False),
    Column("told", Text),
    Column("told_at", BigInteger),
    Column("reference", Text),
)
"""What each receiver was last offered (it may have got it, even if the answer was lost), is known to have got, and
what it calls its own message."""

silences = Table(
    "silences",
    metadata,
    key("id"),
    Column("matchers", JSON, nullable=False),
    Column("starts", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("hours", Text),
    Index(None, "ends"),
)
"""Alerts that match every matcher of a silence are not told between `starts` and `ends` (wall time), or only in its
`hours` between them."""

retraining_requests = Table(
    "retraining_requests",
    metadata,
    key("id"),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("data_start", BigInteger, nullable=False),
    Column("data_end", BigInteger, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("status", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("job", Text),
    Column("status_url", Text),
    Column("detail", Text),
    Column("approved_by", Text),
    Column("recorded", BigInteger, nullable=False),
    Column("submitted", BigInteger),
    Column("finished", BigInteger),
    Column("new_version", Text),
    Column("recovered", BigInteger),
    Column("verdict", Text),
    Column("gpu_seconds", BigInteger),
    Column("time_to_recovery", BigInteger),
    Column("action", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False, server_default="0"),
    Column("owner", Text),
    Index(None, "status", "next_at"),
    Index(None, "model", "created"),
)
"""Retraining requests, from asked (or refused) to judged. `verdict`: recovered, not recovered, or why neither can be
said; `recovered`: event time of the first healthy window of the new version; `time_to_recovery`: microseconds from the
alert to that; `action`: what was done at the registry after the verdict."""

audit = Table(
    "audit",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
"""Who or what changed what, and why. Rows are only ever added; each `hash` covers its row and the hash before it."""


def record(connection: Connection, step: Step, now: int) -> None:
    """Write what a window did to alerts, in the transaction of its report; a rerun changes nothing."""
    record_transitions(connection, step.transitions, now)
    enqueue(connection, step.notices, now)
    insert_missing(connection, retraining_requests, [_request_row(r, now) for r in step.requests])


def enqueue(connection: Connection, notices: Sequence[Notice], now: int) -> None:
    """Put notices into the outbox; one whose key is there already is left alone."""
    rows = [
        {
            "key": notice.key, "receiver": notice.receiver, "fingerprint": notice.alert.fingerprint,
            "kind": str(notice.kind), "notice": to_json(notice), "created": now, "next_at": now,
        }
        for notice in notices
    ]  # fmt: skip
    insert_missing(connection, outbox, rows)


def record_transitions(connection: Connection, transitions: Sequence[Alert], now: int) -> None:
    """Write alerts that changed state, into their history and as they stand now."""
    insert_missing(connection, alert_transitions, [_transition_row(alert, now) for alert in transitions])
    changed = {alert.fingerprint: alert for alert in transitions}
    upsert(connection, alerts, [_alert_row(alert, now) for alert in changed.values()])


def _alert_row(alert: Alert, now: int) -> Mapping[str, Any]:
    return {
        "fingerprint": alert.fingerprint,
        "rule": alert.rule,
        "model": alert.model,
        "version": alert.version,
        "segment": alert.segment,
        "state": str(alert.state),
        "severity": alert.severity,
        "since": alert.since,
        "fired_at": alert.fired_at,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "updated": now,
    }


def _transition_row(alert: Alert, now: int) -> Mapping[str, Any]:
    return {
        "fingerprint": alert.fingerprint,
        "rule": alert.rule,
        "model": alert.model,
        "version": alert.version,
        "segment": alert.segment,
        "state": str(alert.state),
        "severity": alert.severity,
        "at": alert.since,
        "annotations": dict(alert.annotations),
        "recorded": now,
    }


def _request_row(request: RetrainingRequest, now: int) -> Mapping[str, Any]:
    return {
        "id": request.id,
        "model": request.model,
        "version": request.version,
        "rule": request.rule,
        "reason": request.reason,
        "service": request.service,
        "data_start": request.data_start,
        "data_end": request.data_end,
        "evidence": dict(request.evidence),
        "status": str(request.status),
        "created": request.created,
        "job": request.job,
        "detail": request.detail,
        "recorded": now,
        "next_at": now,
    }
