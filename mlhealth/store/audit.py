"""The audit trail: append-only, each row's hash covering the row before it, so that no row can change unseen.

A removed tail cannot be seen from the rows alone: keep the head hash that `verify` returns somewhere else, and give
it to the next `verify`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, text

from mlhealth.store.alert_tables import audit

GENESIS = "0" * 64
_LOCK = 7_301_905
"""PostgreSQL advisory lock that makes appending one at a time; SQLite has one writer anyway."""


@dataclass(frozen=True)
class Entry:
    """One line of the trail. `detail` is JSON-able."""

    at: int
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Verification:
    """What checking the chain found: rows read, the last hash, and the first broken row, if any."""

    rows: int
    head: str
    broken: int | None = None
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the chain holds."""
        return self.broken is None


def append(connection: Connection, entry: Entry) -> str:
    """Add an entry in the transaction of what it tells of; return its hash."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    last = connection.execute(select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).first()
    seq, previous = (last.seq + 1, last.hash) if last else (1, GENESIS)
    detail = json.dumps(entry.detail, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    row = (seq, entry.at, entry.actor, entry.action, entry.subject, detail)
    digest = row_hash(previous, row)
    names = ("seq", "at", "actor", "action", "subject", "detail")
    connection.execute(insert(audit).values(dict(zip(names, row, strict=True)) | {"hash": digest}))
    return digest


def verify(connection: Connection, head: str | None = None) -> Verification:
    """Check the whole chain; with `head`, also that a row of this hash is still there."""
    previous, rows, seen_head = GENESIS, 0, head is None
    for *row, digest in _rows(connection):
        rows += 1
        if row[0] != rows:
            return Verification(rows, previous, rows, f"row {rows} is missing")
        if row_hash(previous, tuple(row)) != digest:
            return Verification(rows, previous, rows, f"row {rows} was changed")
        previous = digest
        seen_head = seen_head or digest == head
    if not seen_head:
        return Verification(
            rows, previous, rows + 1, "the known head is not in the trail: its end was cut off"
        )
    return Verification(rows, previous)


def export(connection: Connection) -> Iterator[dict[str, Any]]:
    """Yield every row as JSON-able data, oldest first."""
    names = [column.name for column in audit.columns]
    for row in _rows(connection):
        yield dict(zip(names, row, strict=True))


def _rows(connection: Connection) -> Iterator[tuple[Any, ...]]:
    result = connection.execution_options(yield_per=10_000).execute(select(audit).order_by(audit.c.seq))
    for row in result:
        yield tuple(row)


def row_hash(previous: str, row: tuple[object, ...]) -> str:
    """Return the hash of a row's columns but the last, after the row whose hash is `previous`."""
    text_ = json.dumps([previous, *row], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text_.encode()).hexdigest()
