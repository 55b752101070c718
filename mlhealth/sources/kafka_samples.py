"""The first records of a topic, read once and without a group: nothing of it is committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from mlhealth.config.sources import KafkaConfig
from mlhealth.errors import NotFoundError
from mlhealth.sources.kafka_settings import consumer_settings, translated

_QUIET_MS = 5_000


def first_records(config: KafkaConfig, topic: str, count: int) -> Iterator[Any]:
    """Yield the oldest records that the topic's partitions still hold, `count` at most; raises NotFoundError."""
    with translated(config):
        consumer: Any = KafkaConsumer(**consumer_settings(config) | {"group_id": None})
        try:
            numbers = consumer.partitions_for_topic(topic)
            if not numbers:
                raise NotFoundError(f"kafka {config.bootstrap} has no topic {topic!r}")
            places = [TopicPartition(topic, number) for number in sorted(numbers)]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            ends = consumer.end_offsets(places)
            while count > 0 and any(consumer.position(place) < ends[place] for place in places):
                found = consumer.poll(timeout_ms=_QUIET_MS, max_records=count)
                if not found:
                    return
                for records in found.values():
                    count -= len(records)
                    yield from records
        finally:
            consumer.close()
