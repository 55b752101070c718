"""Acknowledging: a person has taken a firing alert into their hands, so nobody is reminded of it."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, select

from mlhealth.alerts.notice import NoticeKind, from_json, notice_key
from mlhealth.errors import ConflictError, NotFoundError
from mlhealth.records import AlertState
from mlhealth.store.alert_tables import acknowledgements, alerts, enqueue, notification_log, outbox
from mlhealth.store.audit import Entry, append
from mlhealth.store.database import insert_missing


def acknowledge(connection: Connection, fingerprint: str, by: str, note: str, now: int) -> None:
    """Note who takes the alert, and tell the receivers that were told of it.

    Raises NotFoundError where there is no such alert and ConflictError where it does not fire.
    """
    alert = connection.execute(select(alerts).where(alerts.c.fingerprint == fingerprint)).first()
    if alert is None:
        raise NotFoundError(f"there is no alert {fingerprint}")
    if alert.state != AlertState.FIRING:
        raise ConflictError(f"alert {fingerprint} is {alert.state}: only a firing alert can be acknowledged")
    row = {"fingerprint": fingerprint, "fired_at": alert.fired_at, "by": by, "note": note, "at": now}
    insert_missing(connection, acknowledgements, [row])
    append(connection, Entry(now, by, "alert.acknowledge", fingerprint, {"rule": alert.rule, "note": note}))
    _tell(connection, fingerprint, f"{by} has taken it{f': {note}' if note else ''}", now)


def _tell(connection: Connection, fingerprint: str, what: str, now: int) -> None:
    told = select(notification_log.c.receiver).where(
        notification_log.c.fingerprint == fingerprint, notification_log.c.told == NoticeKind.FIRING
    )
    last = (
        select(outbox.c.receiver, outbox.c.notice)
        .where(
            outbox.c.fingerprint == fingerprint,
            outbox.c.receiver.in_(told),
            outbox.c.kind == NoticeKind.FIRING,
        )
        .order_by(outbox.c.id)
    )
    latest = {row.receiver: from_json(row.notice) for row in connection.execute(last)}
    kind = NoticeKind.ACKNOWLEDGED
    enqueue(
        connection,
        [
            replace(
                n,
                kind=kind,
                key=notice_key(fingerprint, kind, n.alert.fired_at or 0, 0, receiver),
                story=replace(n.story, done=(*n.story.done, what)),
            )
            for receiver, n in latest.items()
        ],
        now,
    )
