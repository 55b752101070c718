"""Kafka through confluent-kafka (`mlhealth[confluent]`): the promises of `mlhealth.sources.kafka`, a faster client."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import methodcaller
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from mlhealth.config.sources import KafkaConfig
from mlhealth.errors import ConfigError, SourceUnavailable
from mlhealth.events.messages import Partition
from mlhealth.sources.base import DeadLetter, Owner, Poll, Source
from mlhealth.sources.confluent_assignment import Assignment, kafka_partition
from mlhealth.sources.confluent_settings import consumer_settings
from mlhealth.sources.grouping import Columns, Grouping, topic_addresses
from mlhealth.sources.halves import check_alike
from mlhealth.sources.kafka_letters import LetterBox
from mlhealth.sources.placing import place

logger = logging.getLogger(__name__)

_BATCH = 10_000
_SECONDS = 10.0


class ConfluentSource(Source):
    """See `Source`; partitions are shared out by the consumer group.

    A rebalance takes only those partitions away that move (cooperative), unless the configuration says `eager`.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._topics = topic_addresses(config)
        self._consumer: Any = None
        self._owner: Owner | None = None
        self._positions: dict[Partition, int] = {}
        self._fresh: set[Partition] = set()
        self._paused = False
        self._letters = LetterBox(config)

    def start(self, owner: Owner) -> None:
        self._owner = owner
        topics = list(self._config.topics) or [f"^{self._config.pattern}"]
        with self._translated():
            self._consumer = Consumer(consumer_settings(self._config), logger=logger)
            self._assignment = Assignment(self._consumer, is_cooperative=self._config.is_cooperative)
            known = self._consumer.list_topics(timeout=_SECONDS).topics
            check_alike(self._topics, {t: len(known[t].partitions) for t in self._topics if t in known})
            self._consumer.subscribe(
                topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )

    def poll(self, timeout: float) -> Poll:
        with self._translated():
            self._place_fresh()
            found = self._consumer.consume(_BATCH, timeout)
        return self._grouped(found)

    def partitions(self) -> Collection[Partition]:
        with self._translated():
            known = self._consumer.list_topics(timeout=_SECONDS).topics
        topics = set(self._config.topics) or {t for t in known if re.match(self._config.pattern or "", t)}
        return [Partition(t, n) for t in sorted(topics) if t in known for n in known[t].partitions]

    def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        # One request for all: each waits behind a fetch, which the broker holds for up to half a second.
        latest = [kafka_partition(p, OFFSET_END) for p in partitions]
        with self._translated():
            found = self._consumer.offsets_for_times(latest, timeout=_SECONDS) if latest else []
        if failed := next((tp.error for tp in found if tp.error is not None), None):
            raise SourceUnavailable(f"kafka {self._config.bootstrap}: {failed.str()}")
        return {_partition(tp): tp.offset for tp in found}

    def positions(self) -> Mapping[Partition, int]:
        with self._translated():
            told = self._consumer.position([kafka_partition(p) for p in self._positions])
        moved = {_partition(tp): tp.offset for tp in told if tp.offset >= 0}
        return {p: max(moved.get(p, o), o) for p, o in self._positions.items() if p not in self._fresh}

    def reload(self, partitions: Collection[Partition]) -> None:
        self._fresh.update(partitions)

    def pause(self) -> None:
        self._paused = True
        self._consumer.pause(self._consumer.assignment())

    def resume(self) -> None:
        self._paused = False
        self._consumer.resume(self._consumer.assignment())

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        held = [kafka_partition(p, o) for p, o in offsets.items() if p in self._positions]
        try:
            if held:
                self._consumer.commit(offsets=held, asynchronous=True)
        except KafkaException as error:
            logger.info("offsets were not committed to the broker: %s", error)

    def set_aside(self, letters: Sequence[DeadLetter]) -> int:
        return self._letters.send(letters)

    def close(self) -> None:
        self._letters.close()
        if self._consumer is not None:
            self._consumer.close()

    def _on_assign(self, _consumer: Any, assigned: list[TopicPartition]) -> None:
        """Accept the partitions; they are fetched from the next poll on, when it is known from where."""
        self._fresh.update(_partition(tp) for tp in assigned)
        self._assignment.given()

    def _on_revoke(self, _consumer: Any, revoked: list[TopicPartition]) -> None:
        partitions = self._dropped(revoked)
        if partitions and self._owner is not None:
            self._owner.revoked(partitions)
        self._assignment.taken(partitions)

    def _on_lost(self, _consumer: Any, lost: list[TopicPartition]) -> None:
        partitions = self._dropped(lost)
        if partitions and self._owner is not None:
            self._owner.lost(partitions)
        self._assignment.taken(partitions)

    def _dropped(self, gone: list[TopicPartition]) -> list[Partition]:
        partitions = [_partition(tp) for tp in gone]
        self._fresh.difference_update(partitions)
        for partition in partitions:
            self._positions.pop(partition, None)
        return partitions

    def _place_fresh(self) -> None:
        """Read new partitions from where the store says, telling of gaps; the others go on where they are."""
        ready = set(self._fresh)
        if not ready or self._owner is None:
            return
        places = place(self._owner, ready, lambda wanted: {p: self._bounds(p) for p in wanted})
        self._fresh.difference_update(ready)
        self._assignment.fetch(places, self._positions)
        self._positions |= places
        if self._paused:
            self._consumer.pause(self._consumer.assignment())

    def _bounds(self, partition: Partition) -> tuple[int, int]:
        first, end = self._consumer.get_watermark_offsets(kafka_partition(partition), timeout=_SECONDS)
        return first, end

    def _grouped(self, found: Sequence[Any]) -> Poll:
        # By identity: comparing a KafkaError with anything but another one raises.
        if (error := next((e for m in found if (e := m.error()) is not None), None)) is not None:
            self._begin_again(error)
        grouping = Grouping(self._topics, self._config.format)
        numbers: dict[Partition, int] = {}
        positions: dict[Partition, int] = {}
        for partition, messages in self._by_partition(found):
            if partition not in numbers:
                numbers[partition] = grouping.open(partition)
            columns = Columns(
                [message.offset() for message in messages],
                [message.timestamp()[1] for message in messages],
                [message.headers() for message in messages],
                [message.value() for message in messages],
                lambda i, messages=messages: messages[i].key(),  # type: ignore[misc]
            )
            grouping.extend(numbers[partition], columns)
            positions[partition] = columns.offsets[-1] + 1
        self._positions |= positions
        return Poll(grouping.batches(), grouping.marks, positions)

    def _by_partition(self, found: Sequence[Any]) -> Iterator[tuple[Partition, list[Any]]]:
        """Yield runs of messages of one partition, in order; the client hands them over in long ones."""
        topics = {partition.topic for partition in self._positions}
        sole = topics.pop() if len(topics) == 1 else None
        for number, run in groupby(found, key=methodcaller("partition")):
            if sole is not None:
                yield Partition(sole, number), list(run)
                continue
            for topic, messages in groupby(run, key=methodcaller("topic")):
                yield Partition(topic, number), list(messages)

    def _begin_again(self, error: Any) -> None:
        """Read everything again from the checkpoints: what came beside an error is dropped with it."""
        self._fresh.update(self._positions)
        raise SourceUnavailable(f"kafka {self._config.bootstrap}: {error.str()}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            cause = error.args[0]
            text = f"kafka {self._config.bootstrap}: {cause.str() if hasattr(cause, 'str') else cause}"
            if getattr(cause, "fatal", lambda: False)():
                raise ConfigError(text) from error
            raise SourceUnavailable(text) from error


def _partition(tp: TopicPartition) -> Partition:
    return Partition(tp.topic, tp.partition)
