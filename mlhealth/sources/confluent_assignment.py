"""Which partitions librdkafka fetches: those the group gave, but each only once it is known from where to read it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from confluent_kafka import TopicPartition

from mlhealth.events.messages import Partition


class Assignment:
    """Answers the group's callbacks, and starts fetching; eager (all partitions anew) or cooperative (differences)."""

    def __init__(self, consumer: Any, *, is_cooperative: bool) -> None:
        self._consumer = consumer
        self._is_cooperative = is_cooperative
        self._fetched: set[Partition] = set()

    def given(self) -> None:
        """Accept partitions, inside the callback, and fetch none of them yet."""
        if self._is_cooperative:
            self._consumer.incremental_assign([])
        else:
            self._consumer.assign([])
            self._fetched.clear()

    def taken(self, partitions: Collection[Partition]) -> None:
        """Let partitions go, inside the callback."""
        gone = self._fetched & set(partitions)
        if self._is_cooperative:
            self._consumer.incremental_unassign([kafka_partition(p) for p in sorted(gone)])
        else:
            self._consumer.unassign()
        self._fetched -= gone

    def fetch(self, places: Mapping[Partition, int], others: Mapping[Partition, int]) -> None:
        """Read these partitions from these offsets on; `others` are read on where they are."""
        if not self._is_cooperative:
            found = {**others, **places}
            self._consumer.assign([kafka_partition(p, offset) for p, offset in sorted(found.items())])
            self._fetched = set(found)
            return
        again = self._fetched & set(places)
        if again:
            self._consumer.incremental_unassign([kafka_partition(p) for p in sorted(again)])
        self._consumer.incremental_assign([kafka_partition(p, o) for p, o in sorted(places.items())])
        self._fetched |= set(places)


def kafka_partition(partition: Partition, offset: int = -1001) -> TopicPartition:
    """Return a partition in the client's words, at an offset where one is given."""
    return TopicPartition(partition.topic, partition.number, offset)
