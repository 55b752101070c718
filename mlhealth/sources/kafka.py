"""Kafka through kafka-python: one consumer of a group; offsets belong to the store, the broker only gets a copy."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

from mlhealth.config.sources import KafkaConfig
from mlhealth.events.messages import Partition
from mlhealth.sources.base import DeadLetter, Owner, Poll, Source
from mlhealth.sources.grouping import Columns, Grouping, topic_addresses
from mlhealth.sources.halves import check_alike
from mlhealth.sources.kafka_letters import LetterBox
from mlhealth.sources.kafka_settings import consumer_settings, translated
from mlhealth.sources.placing import place

logger = logging.getLogger(__name__)


class KafkaSource(Source):
    """See `Source`; partitions are shared out by the consumer group (eager rebalancing)."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._topics = topic_addresses(config)
        self._consumer: Any = None
        self._owner: Owner | None = None
        self._fresh: set[Partition] = set()
        self._placed: set[Partition] = set()
        self._paused = False
        self._stable = 0.0
        self._letters = LetterBox(config)

    def start(self, owner: Owner) -> None:
        self._owner = owner
        self._stable = time.monotonic()
        with translated(self._config):
            self._consumer = KafkaConsumer(**consumer_settings(self._config))
            # Without metadata, the group's leader would share out nothing.
            check_alike(
                self._topics,
                {t: len(self._consumer.partitions_for_topic(t) or ()) for t in self._config.topics},
            )
            self._consumer.subscribe(
                topics=self._config.topics or None,
                pattern=self._config.pattern,
                listener=_Listener(owner, self._fresh),
            )

    def poll(self, timeout: float) -> Poll:
        self._join_again_if_stuck()
        with translated(self._config):
            self._place_fresh()
            try:
                polled = self._consumer.poll(timeout_ms=int(timeout * 1000))
            except (NoOffsetForPartitionError, OffsetOutOfRangeError):
                self._fresh.update(self._assigned())
                return Poll()
        return self._grouped({tp: found for tp, found in polled.items() if _partition(tp) not in self._fresh})

    def partitions(self) -> Collection[Partition]:
        with translated(self._config):
            topics = self._config.topics or tuple(self._consumer.subscription() or ())
            return [Partition(t, n) for t in topics for n in self._consumer.partitions_for_topic(t) or ()]

    def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        with translated(self._config):
            found = self._consumer.end_offsets([_kafka(p) for p in partitions])
        return {_partition(tp): offset for tp, offset in found.items()}

    def positions(self) -> Mapping[Partition, int]:
        found = {}
        with translated(self._config):
            for tp in self._consumer.assignment():
                if _partition(tp) in self._placed and _partition(tp) not in self._fresh:
                    found[_partition(tp)] = self._consumer.position(tp, timeout_ms=1000)
        return {partition: offset for partition, offset in found.items() if offset is not None}

    def reload(self, partitions: Collection[Partition]) -> None:
        self._fresh.update(partitions)

    def pause(self) -> None:
        self._paused = True
        self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        self._paused = False
        self._consumer.resume(*self._consumer.paused())

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        held = {
            _kafka(p): OffsetAndMetadata(o, "", -1) for p, o in offsets.items() if p in set(self._assigned())
        }
        if not held:
            return
        try:
            self._consumer.commit_async(held)
        except KafkaError as error:
            logger.info("offsets were not committed to the broker: %s", error)

    def set_aside(self, letters: Sequence[DeadLetter]) -> int:
        return self._letters.send(letters)

    def close(self) -> None:
        self._letters.close()
        if self._consumer is not None:
            try:
                self._consumer.close(timeout_ms=5000)
            except KafkaError as error:
                logger.info("the consumer did not close cleanly: %s", error)

    def _assigned(self) -> list[Partition]:
        return [_partition(tp) for tp in self._consumer.assignment()]

    def _join_again_if_stuck(self) -> None:
        """Begin with a new consumer where joining the group has not come to an end for two sessions.

        A rebalance whose callback outlasts a poll can leave kafka-python waiting for its assignment for ever.
        """
        now = time.monotonic()
        if self._consumer._coordinator.stable():  # noqa: SLF001 (the client tells nobody else)
            self._stable = now
        if now - self._stable < 2 * self._config.session / 1e6 or self._owner is None:
            return
        logger.warning("kafka %s: joining group %s again", self._config.bootstrap, self._config.group)
        owner, held = self._owner, list(self._placed)
        self._consumer.close(autocommit=False, timeout_ms=2000)
        owner.lost(held)
        self._fresh.clear()
        self._placed.clear()
        self.start(owner)

    def _place_fresh(self) -> None:
        """Place what was assigned since; what cannot be placed now (the store is away) is placed the next time."""
        ready = self._fresh & set(self._assigned())
        self._fresh.difference_update(ready)
        try:
            self._place(ready)
        except BaseException:
            self._fresh.update(ready)
            raise

    def _place(self, partitions: Collection[Partition]) -> None:
        """Move each partition to where the store says, or to the broker's first message, telling of the gap."""
        if not partitions or self._owner is None:
            return
        for partition, start in place(self._owner, partitions, self._bounds).items():
            self._consumer.seek(_kafka(partition), start)
            self._placed.add(partition)
        if self._paused:
            self._consumer.pause(*[_kafka(p) for p in partitions])

    def _bounds(self, partitions: Collection[Partition]) -> Mapping[Partition, tuple[int, int]]:
        firsts = self._consumer.beginning_offsets([_kafka(p) for p in partitions])
        ends = self._consumer.end_offsets([_kafka(p) for p in partitions])
        return {p: (firsts[_kafka(p)], ends[_kafka(p)]) for p in partitions}

    def _grouped(self, polled: Mapping[TopicPartition, Sequence[Any]]) -> Poll:
        grouping = Grouping(self._topics, self._config.format)
        positions: dict[Partition, int] = {}
        for tp, records in polled.items():
            partition = _partition(tp)
            columns = Columns(
                [record.offset for record in records],
                [record.timestamp for record in records],
                [record.headers for record in records],
                [record.value for record in records],
                lambda i, records=records: records[i].key,  # type: ignore[misc]
            )
            grouping.extend(grouping.open(partition), columns)
            positions[partition] = records[-1].offset + 1
        return Poll(grouping.batches(), grouping.marks, positions)


@dataclass(frozen=True)
class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Called while `poll` waits: partitions that go are put away at once, new ones are placed after the poll."""

    owner: Owner
    fresh: set[Partition]

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        if partitions := [_partition(tp) for tp in revoked]:
            self.fresh.difference_update(partitions)
            self.owner.revoked(partitions)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self.fresh.update(_partition(tp) for tp in assigned)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        if partitions := [_partition(tp) for tp in lost]:
            self.fresh.difference_update(partitions)
            self.owner.lost(partitions)


def _partition(tp: TopicPartition) -> Partition:
    return Partition(tp.topic, tp.partition)


def _kafka(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number)
