"""Rejected events in the store: listing them, and forgetting those that were sent again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.events.messages import Partition
from mlhealth.store.tables import counters, rejections


@dataclass(frozen=True)
class StoredRejection:
    """Why one event could not be used, where it lies, whose it was, and when it was read."""

    partition: Partition
    offset: int
    row: int
    reason: str
    model: str
    version: str
    created: int


@dataclass(frozen=True)
class Wanted:
    """Which rejections: of a model, with a text in their reason, the newest `limit`."""

    model: str | None = None
    reason: str | None = None
    limit: int = 100


def listed(connection: Connection, wanted: Wanted) -> list[StoredRejection]:
    """Return rejections, the newest first."""
    t = rejections.c
    query = sa.select(rejections).order_by(t.created.desc(), t.topic, t.partition, t.offset.desc(), t.row)
    if wanted.model is not None:
        query = query.where(t.model == wanted.model)
    if wanted.reason is not None:
        query = query.where(t.reason.contains(wanted.reason, autoescape=True))
    return [
        StoredRejection(
            Partition(r.topic, r.partition), r.offset, r.row, r.reason, r.model, r.version, r.created
        )
        for r in connection.execute(query.limit(wanted.limit))
    ]


def forget(connection: Connection, partition: Partition, offsets: Sequence[int]) -> int:
    """Remove the rejections of whole messages, and return how many there were."""
    t = rejections.c
    where = (t.topic == partition.topic, t.partition == partition.number, t.offset.in_(offsets))
    return connection.execute(sa.delete(rejections).where(*where)).rowcount


def unclaimed(connection: Connection) -> list[tuple[str, str, str, int, int]]:
    """Return (model, version, topic, events, partitions) of model versions that send events and have no baseline."""
    t = counters.c
    query = (
        sa.select(t.model, t.version, t.topic, sa.func.sum(t.events), sa.func.count())
        .where(t.outcome == "unknown_model")
        .group_by(t.model, t.version, t.topic)
        .order_by(t.model, t.version, t.topic)
    )
    return [(r[0], r[1], r[2], int(r[3]), int(r[4])) for r in connection.execute(query)]
