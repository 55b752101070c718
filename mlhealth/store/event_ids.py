"""Hashes of the event ids in open windows, by which a repeated event is known again; written once, never changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Column, Connection, Integer, LargeBinary, Table

from mlhealth.events.messages import Partition
from mlhealth.store.tables import key, metadata

event_ids = Table(
    "event_ids",
    metadata,
    key("model"),
    key("version"),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    key("topic"),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("until", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)
"""Event keys of accepted rows by window and partition; a row per checkpoint, which stands at offset `until`."""


@dataclass(frozen=True, order=True)
class IdPlace:
    """A window of a model version in a partition."""

    model: str
    version: str
    start: int
    partition: Partition


@dataclass(frozen=True)
class NewIds:
    """Hashes that a checkpoint adds; `until`: the offset at which it stands."""

    place: IdPlace
    until: int
    hashes: NDArray[np.uint64]


def write(connection: Connection, found: Iterable[NewIds]) -> None:
    """Add hashes of a checkpoint."""
    rows = [
        {
            "model": new.place.model,
            "version": new.place.version,
            "start": new.place.start,
            "topic": new.place.partition.topic,
            "partition": new.place.partition.number,
            "until": new.until,
            "hashes": new.hashes.astype("<u8").tobytes(),
        }
        for new in found
    ]
    if rows:
        connection.execute(sa.insert(event_ids), rows)


def read(connection: Connection, wanted: Collection[Partition]) -> list[NewIds]:
    """Return all hashes of these partitions."""
    t = event_ids.c
    pairs = sorted((p.topic, p.number) for p in wanted)
    query = sa.select(event_ids).where(sa.tuple_(t.topic, t.partition).in_(pairs))
    return [
        NewIds(
            IdPlace(r.model, r.version, r.start, Partition(r.topic, r.partition)),
            r.until,
            np.frombuffer(r.hashes, dtype="<u8").astype(np.uint64),
        )
        for r in connection.execute(query)
    ]


def delete(connection: Connection, name: tuple[str, str], final_end: int) -> None:
    """Forget the hashes of panes that take no more rows: those that start before `final_end`."""
    t = event_ids.c
    mine = (t.model == name[0], t.version == name[1])
    connection.execute(sa.delete(event_ids).where(*mine, t.start < final_end))
