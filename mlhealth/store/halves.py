"""Requests and responses that wait for each other, kept with the checkpoint of their partition."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.events.messages import Partition
from mlhealth.events.pairing import Changes, Waiting
from mlhealth.store.database import insert_missing
from mlhealth.store.half_tables import pending_halves

_AT_ONCE = 400


def write(connection: Connection, changes: Changes) -> None:
    """Add and take away halves."""
    t = pending_halves.c
    gone = sorted((p.topic, p.number, offset) for p, offset in changes.gone)
    for first in range(0, len(gone), _AT_ONCE):
        places = sa.tuple_(t.topic, t.partition, t.offset).in_(gone[first : first + _AT_ONCE])
        connection.execute(sa.delete(pending_halves).where(places))
    insert_missing(connection, pending_halves, [_row(waiting) for waiting in changes.added])


def read(connection: Connection, wanted: Collection[Partition]) -> list[Waiting]:
    """Return the halves that wait in these partitions."""
    t = pending_halves.c
    pairs = sorted((p.topic, p.number) for p in wanted)
    query = sa.select(pending_halves).where(sa.tuple_(t.topic, t.partition).in_(pairs))
    return [
        Waiting(
            (r.model, r.version, r.id, r.kind),
            r.format,
            Partition(r.topic, r.partition),
            r.offset,
            r.written,
            bytes(r.body),
        )
        for r in connection.execute(query)
    ]


def _row(waiting: Waiting) -> dict[str, object]:
    model, version, identity, kind = waiting.key
    return {
        "topic": waiting.partition.topic,
        "partition": waiting.partition.number,
        "offset": waiting.offset,
        "model": model,
        "version": version,
        "format": waiting.format,
        "id": identity,
        "kind": kind,
        "written": waiting.written,
        "body": waiting.body,
    }
