"""Retiring a model version: its silence is no news, and what fired about it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, select

from mlhealth.alerts.notice import Notice, NoticeKind, from_json, notice_key
from mlhealth.records import Alert, AlertState
from mlhealth.store import lifecycle
from mlhealth.store.alert_tables import alerts, enqueue, outbox, record_transitions
from mlhealth.store.audit import Entry, append

DONE = ("the model version was retired",)


def retire(connection: Connection, model: str, version: str, by: str, now: int) -> int:
    """Retire a version; return how many alerts ended with it. Raises NotFoundError where it is not known."""
    lifecycle.set_state(connection, model, version, "retired")
    query = select(alerts).where(
        alerts.c.model == model, alerts.c.version == version, alerts.c.state == AlertState.FIRING
    )
    ended = [_ended(row, now) for row in connection.execute(query)]
    record_transitions(connection, ended, now)
    enqueue(connection, [notice for alert in ended for notice in _notices(connection, alert, now)], now)
    append(connection, Entry(now, by, "model.retire", f"{model}/{version}", {"alerts_ended": len(ended)}))
    return len(ended)


def _ended(row: Row[Any], now: int) -> Alert:
    return Alert(
        rule=row.rule,
        model=row.model,
        version=row.version,
        segment=row.segment,
        state=AlertState.RESOLVED,
        severity=row.severity,
        since=now,
        fired_at=row.fired_at,
        labels=row.labels,
        annotations=row.annotations,
        fingerprint=row.fingerprint,
    )


def _notices(connection: Connection, alert: Alert, now: int) -> list[Notice]:
    """Return the end of an alert for each receiver that was to hear its beginning, after the last news it had."""
    rows = connection.execute(
        select(outbox.c.receiver, outbox.c.notice)
        .where(outbox.c.fingerprint == alert.fingerprint, outbox.c.kind == NoticeKind.FIRING)
        .order_by(outbox.c.id)
    )
    last = {row.receiver: from_json(row.notice) for row in rows}
    kind = NoticeKind.RESOLVED
    return [
        replace(
            notice,
            kind=kind,
            key=notice_key(alert.fingerprint, kind, now, 0, receiver),
            alert=alert,
            story=replace(notice.story, done=DONE),
        )
        for receiver, notice in last.items()
    ]
