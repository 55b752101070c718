"""Questions about the stream itself: how far it has come, and what could not be used."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from mlhealth.queries.alerts import within
from mlhealth.store.alert_tables import alert_transitions, audit
from mlhealth.store.database import Database
from mlhealth.store.tables import counters, model_versions, partitions, rejections, watermarks


@dataclass(frozen=True)
class PartitionLine:
    """How far a partition has been taken in, and when it last moved (wall time)."""

    topic: str
    partition: int
    next_offset: int
    progressed: int


@dataclass(frozen=True)
class RejectionLine:
    """Where an unusable event lies and why it was not used."""

    topic: str
    partition: int
    offset: int
    row: int
    reason: str
    model: str
    created: int


class StreamQueries:
    """Questions to one store."""

    def __init__(self, database: Database, models: tuple[str, ...] = ()) -> None:
        self.database = database
        self._models = models

    def counters(self) -> dict[str, int]:
        """Return how many events had each outcome, over all topics."""
        query = sa.select(counters.c.outcome, sa.func.sum(counters.c.events)).group_by(counters.c.outcome)
        query = query.where(within(counters.c.model, self._models))
        with self.database.read() as connection:
            return {
                outcome: int(events)
                for outcome, events in connection.execute(query.order_by(counters.c.outcome))
            }

    def partitions(self) -> tuple[PartitionLine, ...]:
        """Return how far each partition has been taken in."""
        if self._models:
            return ()  # a topic may hold others' events
        columns = [partitions.c[name] for name in PartitionLine.__dataclass_fields__]
        query = sa.select(*columns).order_by(partitions.c.topic, partitions.c.partition)
        with self.database.read() as connection:
            return tuple(PartitionLine(**row) for row in connection.execute(query).mappings())

    def rejections(self, *, limit: int = 100) -> tuple[RejectionLine, ...]:
        """Return the addresses of the newest unusable events."""
        columns = [rejections.c[name] for name in RejectionLine.__dataclass_fields__]
        query = (
            sa.select(*columns)
            .where(within(rejections.c.model, self._models))
            .order_by(rejections.c.created.desc(), rejections.c.offset.desc())
            .limit(limit)
        )
        with self.database.read() as connection:
            return tuple(RejectionLine(**row) for row in connection.execute(query).mappings())

    def news(self) -> str:
        """Return a text that changes when a window closes or an alert or anything in the audit trail changes."""
        closed = sa.select(
            sa.func.coalesce(sa.func.sum(model_versions.c.closed_end), 0),
            sa.func.coalesce(sa.func.sum(model_versions.c.final_end), 0),
            sa.func.count(),
        )
        last = [sa.select(sa.func.max(column)) for column in (alert_transitions.c.id, audit.c.seq)]
        with self.database.read() as connection:
            seen = [*connection.execute(closed).one(), *(connection.execute(q).scalar() for q in last)]
        return "-".join(str(int(value or 0)) for value in seen)

    def newest_event(self) -> int | None:
        """Return the latest event time seen, of any model."""
        with self.database.read() as connection:
            found: int | None = connection.execute(sa.select(sa.func.max(watermarks.c.event_time))).scalar()
        return found
