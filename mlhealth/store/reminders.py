"""Reminders: a receiver that asks for them is told again that an alert still fires, until somebody acknowledges it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, exists, select

from mlhealth.alerts.notice import Notice, NoticeKind, from_json
from mlhealth.config.receivers import Reminder
from mlhealth.records import AlertState
from mlhealth.store.alert_tables import acknowledgements, alerts, notification_log, outbox


def due(connection: Connection, reminders: Mapping[str, Reminder], now: int) -> list[Notice]:
    """Return the reminders that are due, for the outbox; `reminders` by receiver."""
    return [
        notice
        for receiver, reminder in reminders.items()
        for row in _overdue(connection, receiver, reminder, now)
        if (notice := _again(connection, row, now)) is not None
    ]


def _overdue(connection: Connection, receiver: str, reminder: Reminder, now: int) -> list[Row[Any]]:
    waiting = exists().where(
        outbox.c.receiver == receiver,
        outbox.c.fingerprint == notification_log.c.fingerprint,
        outbox.c.state == "pending",
    )
    acknowledged = exists().where(
        acknowledgements.c.fingerprint == alerts.c.fingerprint,
        acknowledgements.c.fired_at == alerts.c.fired_at,
    )
    query = (
        select(notification_log.c.receiver, notification_log.c.fingerprint)
        .join(alerts, alerts.c.fingerprint == notification_log.c.fingerprint)
        .where(
            notification_log.c.receiver == receiver,
            notification_log.c.told.in_([NoticeKind.FIRING, NoticeKind.ACKNOWLEDGED]),
            notification_log.c.told_at <= now - reminder.every,
            alerts.c.state == AlertState.FIRING,
            ~waiting,
            *([] if reminder.even_if_acknowledged else [~acknowledged]),
        )
    )
    return list(connection.execute(query))


def _again(connection: Connection, row: Row[Any], now: int) -> Notice | None:
    last = connection.execute(
        select(outbox.c.notice)
        .where(
            outbox.c.receiver == row.receiver,
            outbox.c.fingerprint == row.fingerprint,
            outbox.c.kind == NoticeKind.FIRING,
        )
        .order_by(outbox.c.id.desc())
        .limit(1)
    ).scalar()
    if last is None:
        return None
    notice = from_json(last)
    return replace(notice, key=f"{notice.key.partition('+')[0]}+{now}")
