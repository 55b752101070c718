"""Signs of life of workers, by which others see that one died without a word."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from mlhealth.store.database import upsert
from mlhealth.store.operation_tables import heartbeats


@dataclass(frozen=True)
class Heartbeat:
    """A worker's last signs of life, in wall time (microseconds)."""

    worker: str
    started: int
    beat: int
    read: int


def beat(connection: Connection, seen: Heartbeat) -> None:
    """Note that a worker lives."""
    row = {"worker": seen.worker, "started": seen.started, "beat": seen.beat, "read": seen.read}
    upsert(connection, heartbeats, [row])


def end(connection: Connection, worker: str) -> None:
    """Forget a worker that ended in order, or that nobody waits for any more."""
    connection.execute(delete(heartbeats).where(heartbeats.c.worker == worker))


def all_of(connection: Connection) -> list[Heartbeat]:
    """Return every worker that has not ended in order."""
    rows = connection.execute(select(heartbeats).order_by(heartbeats.c.worker))
    return [Heartbeat(r.worker, r.started, r.beat, r.read) for r in rows]
