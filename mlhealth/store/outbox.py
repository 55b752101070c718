"""The outbox: what receivers must be told, claimed under a lease, so that a killed dispatcher loses nothing.

A claim first decides, per receiver and alert, what is still news: only the latest row is sent, an end that nobody was
offered the beginning of is dropped, a silenced alert waits. Every decision leaves its reason in the row's `note`.
What was offered is written before it is sent: a receiver may have got it although its answer was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, text, update

from mlhealth.alerts.notice import Notice, NoticeKind, from_json
from mlhealth.store.alert_tables import notification_log, outbox
from mlhealth.store.database import upsert

CLAIM_ROWS = 500
_LOCK = 7_301_906
"""PostgreSQL advisory lock under which rows are claimed; SQLite has one writer anyway."""


@dataclass(frozen=True)
class Claim:
    """A row taken for sending. `attempts` counts this one; `batch` is None until it was first sent."""

    id: int
    notice: Notice
    attempts: int
    created: int
    batch: str | None


@dataclass(frozen=True)
class Lease:
    """Who holds rows, from now until when; after that anybody may take them."""

    owner: str
    now: int
    until: int


@dataclass(frozen=True)
class Taker:
    """Who claims, and for which receivers.

    `tells_end`: receivers that hear of resolution. `silenced_until` returns until when an alert is silenced, or None.
    """

    lease: Lease
    receivers: Sequence[str]
    tells_end: frozenset[str]
    silenced_until: Callable[[Notice], int | None]

    @property
    def now(self) -> int:
        """Wall time of the claim."""
        return self.lease.now


def is_due(connection: Connection, now: int, receivers: Sequence[str]) -> bool:
    """Return whether there is anything to claim."""
    return connection.execute(select(outbox.c.id).where(*_due(now, receivers)).limit(1)).first() is not None


def claim(connection: Connection, taker: Taker) -> list[Claim]:
    """Take the rows that are due; they are nobody else's until the lease ends.

    Claims are made one at a time: which row is the latest news is a question over all rows of an alert.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    rows = connection.execute(
        select(outbox).where(*_due(taker.now, taker.receivers)).order_by(outbox.c.id).limit(CLAIM_ROWS)
    ).all()
    news = _news(connection, rows, taker)
    ready = [claimed for row in news if (claimed := _ready(connection, row, taker)) is not None]
    _lease(connection, ready, taker)
    return ready


def delivered(
    connection: Connection, claims: Sequence[Claim], now: int, reference: str | None = None
) -> None:
    """Note that the receiver has confirmed these rows, and what it calls its message."""
    _finish(connection, [c.id for c in claims], "delivered", now, None)
    rows = [
        {"receiver": c.notice.receiver, "fingerprint": c.notice.alert.fingerprint, "offered": str(c.notice.kind),
         "told": str(c.notice.kind), "told_at": now}
        for c in claims
    ]  # fmt: skip
    if reference is not None:
        rows = [row | {"reference": reference} for row in rows]
    upsert(connection, notification_log, rows)


def references(connection: Connection, receiver: str, claims: Sequence[Claim]) -> dict[str, str]:
    """Return what the receiver calls its messages about these alerts, by fingerprint."""
    found = select(notification_log.c.fingerprint, notification_log.c.reference).where(
        notification_log.c.receiver == receiver,
        notification_log.c.fingerprint.in_([c.notice.alert.fingerprint for c in claims]),
        notification_log.c.reference.is_not(None),
    )
    return {row.fingerprint: row.reference for row in connection.execute(found)}


def prune(connection: Connection, before: int) -> int:
    """Forget rows that were finished before then; return how many. The last of each alert stays."""
    last = select(func.max(outbox.c.id)).group_by(outbox.c.receiver, outbox.c.fingerprint)
    gone = delete(outbox).where(outbox.c.finished < before, outbox.c.id.not_in(last))
    return connection.execute(gone).rowcount


def retry_at(connection: Connection, claims: Sequence[Claim], at: int, note: str) -> None:
    """Let go of these rows until `at`."""
    connection.execute(
        update(outbox)
        .where(outbox.c.id.in_([c.id for c in claims]))
        .values(next_at=at, lease_until=0, owner=None, note=note)
    )


def postpone(connection: Connection, claims: Sequence[Claim], at: int, note: str) -> None:
    """Let go of rows that were not sent after all: the attempt does not count."""
    retry_at(connection, claims, at, note)
    ids = [c.id for c in claims]
    connection.execute(update(outbox).where(outbox.c.id.in_(ids)).values(attempts=outbox.c.attempts - 1))


def give_up(connection: Connection, claims: Sequence[Claim], now: int, note: str) -> None:
    """Stop trying to deliver these rows."""
    _finish(connection, [c.id for c in claims], "failed", now, note)


def hold(connection: Connection, claims: Sequence[Claim], batch: str, lease: Lease) -> bool:
    """Renew the lease just before sending, and name the batch; False where the rows were lost to somebody else."""
    held = connection.execute(
        update(outbox)
        .where(
            outbox.c.id.in_([c.id for c in claims]),
            outbox.c.owner == lease.owner,
            outbox.c.state == "pending",
        )
        .values(batch=batch, lease_until=lease.until)
    )
    return held.rowcount == len(claims)


def release(connection: Connection) -> None:
    """End every lease: for the one dispatcher of a store, at its start, after a predecessor was killed."""
    connection.execute(update(outbox).where(outbox.c.state == "pending").values(lease_until=0, owner=None))


def messages_since(connection: Connection, receiver: str, since: int) -> list[int]:
    """Return when each message of the last while was delivered, oldest first."""
    finished = (
        select(func.min(outbox.c.finished).label("at"))
        .where(outbox.c.receiver == receiver, outbox.c.state == "delivered", outbox.c.finished > since)
        .group_by(outbox.c.batch)
    )
    return sorted(at for (at,) in connection.execute(finished))


def backlog(connection: Connection) -> Mapping[tuple[str, str], int]:
    """Return the number of rows by receiver and state."""
    counted = select(outbox.c.receiver, outbox.c.state, func.count()).group_by(
        outbox.c.receiver, outbox.c.state
    )
    return {(receiver, state): count for receiver, state, count in connection.execute(counted)}


def _due(now: int, receivers: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    return (
        outbox.c.state == "pending",
        outbox.c.next_at <= now,
        outbox.c.lease_until <= now,
        outbox.c.receiver.in_(receivers),
    )


def _news(connection: Connection, due: Sequence[Row[Any]], taker: Taker) -> list[Row[Any]]:
    """Return the due rows that are the latest of their alert and receiver, and not overtaking one in flight.

    Older rows that only wait for another attempt are superseded too: sent later, they would contradict the news.
    """
    prints = sorted({row.fingerprint for row in due})
    waiting: dict[tuple[str, str], list[int]] = {}
    busy: set[tuple[str, str]] = set()
    for at in range(0, len(prints), CLAIM_ROWS):
        pending = select(outbox.c.id, outbox.c.receiver, outbox.c.fingerprint, outbox.c.lease_until).where(
            outbox.c.state == "pending", outbox.c.fingerprint.in_(prints[at : at + CLAIM_ROWS])
        )
        for row in connection.execute(pending):
            pair = (row.receiver, row.fingerprint)
            waiting.setdefault(pair, []).append(row.id)
            if row.lease_until > taker.now:
                busy.add(pair)
    free = [row for row in due if (row.receiver, row.fingerprint) not in busy]
    pairs = {(row.receiver, row.fingerprint) for row in free}
    old = [id_ for pair in pairs for id_ in waiting[pair] if id_ < max(waiting[pair])]
    _finish(connection, old, "superseded", taker.now, "later news of this alert came before it was delivered")
    return [row for row in free if row.id == max(waiting[row.receiver, row.fingerprint])]


def _ready(connection: Connection, row: Row[Any], taker: Taker) -> Claim | None:
    notice = from_json(row.notice)
    reason = _not_told(connection, notice, taker)
    if reason is not None:
        _finish(connection, [row.id], "dropped", taker.now, reason)
        return None
    until = taker.silenced_until(notice) if notice.kind is NoticeKind.FIRING else None
    claimed = Claim(row.id, notice, row.attempts + 1, row.created, row.batch)
    if until is not None:
        retry_at(connection, [claimed], until, "silenced")
        return None
    return claimed


def _not_told(connection: Connection, notice: Notice, taker: Taker) -> str | None:
    """Return why the news need not be told, or None."""
    if notice.kind is not NoticeKind.RESOLVED:
        return None
    if notice.receiver not in taker.tells_end:
        return "the receiver is not told of resolution"
    offered = connection.execute(
        select(notification_log.c.offered).where(
            notification_log.c.receiver == notice.receiver,
            notification_log.c.fingerprint == notice.alert.fingerprint,
        )
    ).scalar()
    if offered in (None, NoticeKind.RESOLVED):
        return "resolved before anybody was told that it fired"
    return None


def _lease(connection: Connection, claims: Sequence[Claim], taker: Taker) -> None:
    if not claims:
        return
    connection.execute(
        update(outbox)
        .where(outbox.c.id.in_([c.id for c in claims]))
        .values(owner=taker.lease.owner, lease_until=taker.lease.until, attempts=outbox.c.attempts + 1)
    )
    # A resolution that is on its way must not erase that a firing was offered: the row would then be dropped.
    rows = [
        {
            "receiver": c.notice.receiver,
            "fingerprint": c.notice.alert.fingerprint,
            "offered": str(c.notice.kind),
        }
        for c in claims
        if c.notice.kind is not NoticeKind.RESOLVED
    ]
    upsert(connection, notification_log, rows)


def _finish(connection: Connection, ids: Sequence[int], state: str, now: int, note: str | None) -> None:
    if ids:
        connection.execute(
            update(outbox)
            .where(outbox.c.id.in_(ids))
            .values(state=state, finished=now, lease_until=0, owner=None, note=note)
        )
