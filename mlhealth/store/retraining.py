"""Retraining requests in the store: claimed under a lease, sent once, followed to their end, judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select, update

from mlhealth.alerts.retraining_trigger import AWAITS_APPROVAL
from mlhealth.errors import ConflictError, NotFoundError
from mlhealth.records import RetrainingRequest, RetrainingStatus
from mlhealth.store.alert_tables import retraining_requests as table
from mlhealth.store.audit import Entry, append
from mlhealth.store.outbox import Lease

OPEN = (RetrainingStatus.SUBMITTED, RetrainingStatus.RUNNING)
"""Requests that a training service is working on."""


def claim(connection: Connection, lease: Lease, services: Sequence[str]) -> list[Row[Any]]:
    """Take the requests that are due for sending or asking after; nobody else has them until the lease ends."""
    query = select(table).where(*_due(lease.now, services)).order_by(table.c.recorded).limit(50)
    rows = list(connection.execute(query.with_for_update(skip_locked=True)))
    ids = [row.id for row in rows]
    connection.execute(
        update(table).where(table.c.id.in_(ids)).values(owner=lease.owner, lease_until=lease.until)
    )
    return rows


def is_due(connection: Connection, now: int, services: Sequence[str]) -> bool:
    """Return whether there is anything to claim."""
    return connection.execute(select(table.c.id).where(*_due(now, services)).limit(1)).first() is not None


def busy_with(connection: Connection, row: Row[Any]) -> str | None:
    """Return the request of the same model that a service is already working on, if any."""
    query = select(table.c.id).where(
        table.c.model == row.model, table.c.status.in_(OPEN), table.c.id != row.id
    )
    return connection.execute(query.limit(1)).scalar()


def change(
    connection: Connection, id_: str, values: Mapping[str, Any], now: int, actor: str = "mlhealth"
) -> None:
    """Write what became of a request and let go of it; a change of status goes to the audit trail."""
    connection.execute(update(table).where(table.c.id == id_).values(lease_until=0, owner=None, **values))
    if "status" in values or "verdict" in values:
        told = {name: value for name, value in values.items() if name not in ("next_at", "attempts")}
        append(connection, Entry(now, actor, "retraining.change", id_, told))


def approve(connection: Connection, id_: str, by: str, now: int) -> None:
    """Let a request that awaits approval go out; raises NotFoundError or ConflictError."""
    _awaiting(connection, id_)
    connection.execute(
        update(table).where(table.c.id == id_).values(approved_by=by, detail=None, next_at=now)
    )
    append(connection, Entry(now, by, "retraining.approve", id_, {}))


def reject(connection: Connection, id_: str, by: str, reason: str, now: int) -> None:
    """Refuse a request that awaits approval; raises NotFoundError or ConflictError."""
    _awaiting(connection, id_)
    values = {
        "status": str(RetrainingStatus.REFUSED),
        "detail": f"refused by {by}: {reason}",
        "finished": now,
    }
    connection.execute(update(table).where(table.c.id == id_).values(**values))
    append(connection, Entry(now, by, "retraining.reject", id_, {"reason": reason}))


def get(connection: Connection, id_: str) -> Row[Any]:
    """Return one request; raises NotFoundError."""
    row = connection.execute(select(table).where(table.c.id == id_)).first()
    if row is None:
        raise NotFoundError(f"there is no retraining request {id_}")
    return row


def latest(connection: Connection, limit: int = 50, model: str | None = None) -> list[Row[Any]]:
    """Return the newest requests first."""
    query = select(table).order_by(table.c.recorded.desc(), table.c.id).limit(limit)
    return list(connection.execute(query if model is None else query.where(table.c.model == model)))


def request_of(row: Row[Any]) -> RetrainingRequest:
    """Return the record of a row."""
    return RetrainingRequest(
        id=row.id,
        model=row.model,
        version=row.version,
        rule=row.rule,
        reason=row.reason,
        service=row.service,
        data_start=row.data_start,
        data_end=row.data_end,
        evidence=row.evidence,
        status=RetrainingStatus(row.status),
        created=row.created,
        job=row.job,
        detail=row.detail,
    )


def _due(now: int, services: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    to_send = and_(
        table.c.status == RetrainingStatus.REQUESTED,
        or_(table.c.detail.is_(None), table.c.detail != AWAITS_APPROVAL),
    )
    to_judge = and_(table.c.status == RetrainingStatus.SUCCEEDED, table.c.verdict.is_(None))
    return (
        or_(to_send, table.c.status.in_(OPEN), to_judge),
        table.c.next_at <= now,
        table.c.lease_until <= now,
        table.c.service.in_(services),
    )


def awaits_approval(row: Row[Any]) -> bool:
    """Return whether a person must let the request go out."""
    return bool(row.status == RetrainingStatus.REQUESTED and row.detail == AWAITS_APPROVAL)


def _awaiting(connection: Connection, id_: str) -> None:
    row = get(connection, id_)
    if not awaits_approval(row):
        raise ConflictError(f"retraining request {id_} does not await approval: it is {row.status}")
