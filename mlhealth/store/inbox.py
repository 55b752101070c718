"""The HTTP inbox: request bodies, durable before they are answered, bounded, and read as logs with offsets.

A message belongs to one partition. Its offset is taken from the partition's row, which stays locked until the message
is written: a reader never sees an offset before all smaller ones. What waits is bounded in rows and bytes; beyond that
`append` raises `InboxFull` and nothing is written. Checkpointed messages are removed, all but those set aside.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.clock import DAY
from mlhealth.errors import ConflictError, RecoverableError
from mlhealth.store.database import Database, insert_missing, inserted
from mlhealth.store.inbox_tables import inbox, inbox_partitions, inbox_requests

REMEMBERED = DAY
"""For how long an idempotency key is known."""
_AT_ONCE = 2_000


class InboxFull(RecoverableError):
    """So much waits to be read that nothing more is taken; `retry_after` in seconds."""

    def __init__(self, message: str, *, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class InboxLimits:
    """How many logs there are, and how much may wait in all of them together."""

    partitions: int = 1
    rows: int = 2_000_000
    bytes: int = 1024 * 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """A message to add: whose events it holds, in which format, and how many; or a watermark, without a body.

    `lane`: messages of one lane lie in one partition.
    """

    model: str
    version: str
    format: str = "json"
    body: bytes = b""
    rows: int = 0
    watermark: int | None = None
    lane: int | None = None


@dataclass(frozen=True)
class RequestKey:
    """An idempotency key, made unique by who sent it where, with a digest of the request and the answer to give."""

    key: str
    digest: str
    answer: str


@dataclass(frozen=True)
class Message:
    """A message as read."""

    offset: int
    entry: Entry
    written: int


class Inbox:
    """The inbox of a store, for those who write to it and those who read it."""

    def __init__(self, database: Database, limits: InboxLimits | None = None) -> None:
        self.database = database
        self.limits = limits or InboxLimits()
        self.turns = itertools.count()

    def append(self, entries: Sequence[Entry], now: int, key: RequestKey | None = None) -> str | None:
        """Add messages durably, all or none; return the answer of an earlier request with the same key, else None.

        Raises InboxFull, StoreUnavailable, and ConflictError where the key was used for another request.
        """
        partition = next(self.turns) % self.limits.partitions
        with self.database.begin() as connection:
            if key is not None:
                known = _answered(connection, key, now)
                if known is not None:
                    return known
            for number, entry in self._placed(entries, partition):
                self._add(connection, number, entry, now)
        return None

    def _placed(self, entries: Sequence[Entry], partition: int) -> list[tuple[int, Entry]]:
        """Return each entry with its partition; those of lanes in one order for all, so that none waits for another."""
        found: list[tuple[int, Entry]] = []
        for entry in entries:
            if entry.watermark is not None:
                found += [(number, entry) for number in range(self.limits.partitions)]
            elif entry.lane is not None:
                found.append((entry.lane % self.limits.partitions, entry))
            else:
                found.append((partition, entry))
        return sorted(found, key=lambda place: place[0])

    def prepare(self) -> None:
        """Make the partitions that are not there yet."""
        rows = [{"partition": number} for number in range(self.limits.partitions)]
        with self.database.begin() as connection:
            insert_missing(connection, inbox_partitions, rows)

    def partitions(self) -> list[int]:
        """Return every partition there ever was."""
        with self.database.read() as connection:
            return list(connection.execute(sa.select(inbox_partitions.c.partition)).scalars())

    def bounds(self, partitions: Collection[int]) -> Mapping[int, tuple[int, int]]:
        """Return the first offset that is still there and the one after the last, of each partition."""
        t = inbox_partitions.c
        query = sa.select(t.partition, t.first_offset, t.next_offset).where(t.partition.in_(partitions))
        with self.database.read() as connection:
            return {row[0]: (row[1], row[2]) for row in connection.execute(query)}

    def read(self, partition: int, offset: int, most_bytes: int) -> list[Message]:
        """Return messages from `offset` on, at least one where there is any, else at most so many bytes of them."""
        t = inbox.c
        wanted = (t.partition == partition, t.offset >= offset)
        sizes = sa.select(t.offset, t.bytes).where(*wanted).order_by(t.offset).limit(_AT_ONCE)
        with self.database.read() as connection:
            last = _last_within(connection.execute(sizes).all(), most_bytes)
            if last is None:
                return []
            rows = connection.execute(sa.select(inbox).where(*wanted, t.offset <= last).order_by(t.offset))
            return [_message(row) for row in rows]

    def trim(self, offsets: Mapping[int, int]) -> None:
        """Remove messages before these offsets, all but those that were set aside."""
        with self.database.begin() as connection:
            for partition, offset in sorted(offsets.items()):
                _trim(connection, partition, offset)

    def set_aside(self, letters: Sequence[tuple[int, int, str]]) -> None:
        """Keep messages (partition, offset, reason) that could not be used, for `requeue`."""
        t = inbox.c
        with self.database.begin() as connection:
            for partition, offset, reason in letters:
                where = (t.partition == partition, t.offset == offset)
                connection.execute(sa.update(inbox).where(*where).values(reason=reason))

    def requeue(self, addresses: Sequence[tuple[int, int]], now: int) -> list[tuple[int, int]]:
        """Add messages that were set aside again, at the end of the log; return the addresses that were there."""
        t = inbox.c
        moved: list[tuple[int, int]] = []
        for partition, offset in addresses:
            where = (t.partition == partition, t.offset == offset, t.reason.is_not(None))
            with self.database.begin() as connection:
                row = connection.execute(sa.select(inbox).where(*where)).first()
                if row is None:
                    continue
                self._add(connection, partition, _message(row).entry, now)
                connection.execute(sa.delete(inbox).where(*where))
            moved.append((partition, offset))
        return moved

    def _add(self, connection: Connection, partition: int, entry: Entry, now: int) -> None:
        offset = self._next_offset(connection, partition, entry)
        if offset is None:
            insert_missing(connection, inbox_partitions, [{"partition": partition}])
            offset = self._next_offset(connection, partition, entry)
        if offset is None:
            raise self._refusal()
        row = {"partition": partition, "offset": offset, "written": now, "bytes": len(entry.body)}
        connection.execute(sa.insert(inbox).values(**row, **_columns(entry)))

    def _next_offset(self, connection: Connection, partition: int, entry: Entry) -> int | None:
        """Take the next offset, holding the partition until the transaction ends; None where there is no room."""
        t = inbox_partitions.c
        size = len(entry.body)
        fits = (t.rows + entry.rows <= self._rows) & (t.bytes + size <= self._bytes)
        taken = (
            sa.update(inbox_partitions)
            .where(t.partition == partition, fits | (t.rows == 0))
            .values(next_offset=t.next_offset + 1, rows=t.rows + entry.rows, bytes=t.bytes + size)
            .returning(t.next_offset)
        )
        found = connection.execute(taken).scalar()
        return None if found is None else int(found) - 1

    @property
    def _rows(self) -> int:
        return self.limits.rows // self.limits.partitions

    @property
    def _bytes(self) -> int:
        return self.limits.bytes // self.limits.partitions

    def _refusal(self) -> InboxFull:
        most = f"{self.limits.rows} rows or {self.limits.bytes} bytes"
        return InboxFull(f"the inbox is full ({most} wait to be read); try again later, or add workers")


def forget_requests(connection: Connection, now: int) -> None:
    """Forget idempotency keys that are too old to be repeated."""
    connection.execute(sa.delete(inbox_requests).where(inbox_requests.c.created < now - REMEMBERED))


def _answered(connection: Connection, key: RequestKey, now: int) -> str | None:
    """Note the key, or return the answer that was given to it before."""
    t = inbox_requests.c
    forget_requests(connection, now)
    row = {"key": key.key, "digest": key.digest, "answer": key.answer, "created": now}
    if inserted(connection, inbox_requests, row):
        return None
    found = connection.execute(sa.select(t.digest, t.answer).where(t.key == key.key)).one()
    if found.digest != key.digest:
        raise ConflictError("the Idempotency-Key was used for another request; use a new key for a new one")
    return str(found.answer)


def _trim(connection: Connection, partition: int, offset: int) -> None:
    t = inbox.c
    logs = inbox_partitions.c
    first = connection.execute(
        sa.select(logs.first_offset).where(logs.partition == partition).with_for_update()
    ).scalar()
    if first is None or first >= offset:
        return
    gone = (t.partition == partition, t.offset >= first, t.offset < offset)
    rows, size = connection.execute(
        sa.select(sa.func.coalesce(sa.func.sum(t.rows), 0), sa.func.coalesce(sa.func.sum(t.bytes), 0)).where(
            *gone
        )
    ).one()
    connection.execute(
        sa.update(inbox_partitions)
        .where(logs.partition == partition)
        .values(first_offset=offset, rows=logs.rows - int(rows), bytes=logs.bytes - int(size))
    )
    connection.execute(sa.delete(inbox).where(*gone, t.reason.is_(None)))


def _last_within(sizes: Sequence[Any], most_bytes: int) -> int | None:
    """Return the offset of the last message to read."""
    last, total = None, 0
    for offset, size in sizes:
        total += size
        if last is not None and total > most_bytes:
            break
        last = int(offset)
    return last


def _columns(entry: Entry) -> dict[str, object]:
    return {
        "model": entry.model,
        "version": entry.version,
        "format": entry.format,
        "watermark": entry.watermark,
        "rows": entry.rows,
        "body": entry.body,
    }


def _message(row: sa.Row[Any]) -> Message:
    entry = Entry(row.model, row.version, row.format, bytes(row.body), row.rows, row.watermark)
    return Message(row.offset, entry, row.written)
