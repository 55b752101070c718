"""Which worker reads which partition of the inbox: leases in the store, shared out evenly among the living.

A lease that is not renewed in time is anyone's. Nothing depends on clocks for being right: a worker that reads on after
its lease has ended writes no checkpoint once another has written one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.clock import SECOND
from mlhealth.store.database import Database, upsert
from mlhealth.store.inbox_tables import inbox_partitions, inbox_readers

LEASE = 15 * SECOND
"""For how long a partition stays with a worker that gives no sign of life."""


@dataclass(frozen=True)
class Share:
    """The partitions a worker holds now, and how many it may hold."""

    held: frozenset[int]
    most: int


class InboxReader:
    """One worker among the readers of the inbox."""

    def __init__(self, database: Database, name: str, lease: int = LEASE) -> None:
        self._database = database
        self._name = name
        self._lease = lease

    def renew(self, now: int) -> Share:
        """Give a sign of life, take what is free up to an even share, and return what is held."""
        with self._database.begin() as connection:
            most = self._even_share(connection, now)
            held = set(self._renewed(connection, now))
            for partition in self._free(connection, most - len(held), now):
                self._take(connection, partition, now)
                held.add(partition)
        return Share(frozenset(held), most)

    def release(self, partitions: Collection[int]) -> None:
        """Let others have these partitions."""
        with self._database.begin() as connection:
            self._release(connection, partitions)

    def leave(self) -> None:
        """Let others have everything."""
        t = inbox_partitions.c
        with self._database.begin() as connection:
            held = connection.execute(sa.select(t.partition).where(t.reader == self._name)).scalars()
            self._release(connection, list(held))
            connection.execute(sa.delete(inbox_readers).where(inbox_readers.c.name == self._name))

    def _even_share(self, connection: Connection, now: int) -> int:
        upsert(connection, inbox_readers, [{"name": self._name, "lease": now + self._lease}])
        ended = inbox_readers.c.lease < now
        if self._database.is_sqlite:  # which serves one process: any other is gone
            ended |= inbox_readers.c.name != self._name
        connection.execute(sa.delete(inbox_readers).where(ended))
        readers = connection.execute(sa.select(sa.func.count()).select_from(inbox_readers)).scalar_one()
        partitions = connection.execute(sa.select(sa.func.count()).select_from(inbox_partitions)).scalar_one()
        return -(-int(partitions) // int(readers))

    def _renewed(self, connection: Connection, now: int) -> list[int]:
        t = inbox_partitions.c
        mine = sa.update(inbox_partitions).where(t.reader == self._name).values(lease=now + self._lease)
        return list(connection.execute(mine.returning(t.partition)).scalars())

    def _free(self, connection: Connection, most: int, now: int) -> list[int]:
        if most <= 0:
            return []
        t = inbox_partitions.c
        is_free = t.lease < now
        if self._database.is_sqlite:
            is_free |= t.reader != self._name
        query = sa.select(t.partition).where(t.reader != self._name, is_free).order_by(t.partition)
        return list(connection.execute(query.limit(most).with_for_update(skip_locked=True)).scalars())

    def _take(self, connection: Connection, partition: int, now: int) -> None:
        wanted = sa.update(inbox_partitions).where(inbox_partitions.c.partition == partition)
        connection.execute(wanted.values(reader=self._name, lease=now + self._lease))

    def _release(self, connection: Connection, partitions: Collection[int]) -> None:
        t = inbox_partitions.c
        where = (t.partition.in_(sorted(partitions)), t.reader == self._name)
        connection.execute(sa.update(inbox_partitions).where(*where).values(reader="", lease=0))
