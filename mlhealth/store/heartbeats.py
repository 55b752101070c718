"""Signs of life of workers, by which others see that one died without a word."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from mlhealth.store.database import upsert
from mlhealth.store.operation_tables import heartbeats


@dataclass(frozen=True)
class Heartbeat:
    """A worker's last sign of life, in wall time (microseconds), and the partitions it held, as `topic/number`."""

    worker: str
    started: int
    beat: int
    partitions: tuple[str, ...] = ()


def beat(connection: Connection, seen: Heartbeat) -> None:
    """Note that a worker lives."""
    row = {
        "worker": seen.worker,
        "started": seen.started,
        "beat": seen.beat,
        "partitions": list(seen.partitions),
    }
    upsert(connection, heartbeats, [row])


def end(connection: Connection, worker: str) -> None:
    """Forget a worker that ended in order."""
    connection.execute(delete(heartbeats).where(heartbeats.c.worker == worker))


def forget_dead(connection: Connection, worker: str, before: int) -> None:
    """Forget a worker that gave no sign of life since then, and that nobody waits for any more."""
    t = heartbeats.c
    connection.execute(delete(heartbeats).where(t.worker == worker, t.beat < before))


def all_of(connection: Connection) -> list[Heartbeat]:
    """Return every worker that has not ended in order."""
    rows = connection.execute(select(heartbeats).order_by(heartbeats.c.worker))
    return [Heartbeat(r.worker, r.started, r.beat, tuple(r.partitions)) for r in rows]
