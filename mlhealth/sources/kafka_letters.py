"""Dead letters on Kafka: written with the reason in headers, and sent again from where they were read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from mlhealth.config.sources import KafkaConfig
from mlhealth.errors import SourceUnavailable
from mlhealth.events.messages import Partition
from mlhealth.sources.base import FORMAT_HEADER, MODEL_HEADER, VERSION_HEADER, DeadLetter
from mlhealth.sources.kafka_settings import client_settings, consumer_settings, translated

LARGEST = 900_000
"""A letter's body beyond so many bytes stays where it is; the headers say where."""


class LetterBox:
    """The dead-letter topic of a source, where it has one; a producer connects with the first letter."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._producer: Any = None

    def send(self, letters: Sequence[DeadLetter]) -> int:
        """Write letters, wait until the broker has them, and return how many; raises SourceUnavailable."""
        if not letters or self._config.dead_letters is None:
            return 0
        with translated(self._config):
            if self._producer is None:
                settings = client_settings(self._config.bootstrap, self._config.security)
                self._producer = KafkaProducer(**settings, acks="all")
            futures = [self._send(letter) for letter in letters]
            self._producer.flush(timeout=30)
            for future in futures:
                future.get(timeout=30)
        return len(letters)

    def _send(self, letter: DeadLetter) -> Any:
        place = letter.partition
        headers = {
            MODEL_HEADER: letter.address.model,
            VERSION_HEADER: letter.address.version,
            FORMAT_HEADER: letter.address.format,
            "mlhealth-reason": letter.reason,
            "mlhealth-topic": place.topic,
            "mlhealth-partition": str(place.number),
            "mlhealth-offset": str(letter.offset),
        }
        body = letter.value if len(letter.value) <= LARGEST else b""
        pairs = [(name, text.encode()) for name, text in headers.items() if text]
        return self._producer.send(self._config.dead_letters, value=body, headers=pairs)

    def close(self) -> None:
        """Let go."""
        if self._producer is not None:
            with translated(self._config):
                self._producer.close(timeout=10)


def originals(
    config: KafkaConfig, addresses: Iterable[tuple[Partition, int]]
) -> Iterator[tuple[Partition, int, Any]]:
    """Yield the message at each address as the client gives it; those that the topic no longer has are left out."""
    with translated(config):
        consumer: Any = KafkaConsumer(**consumer_settings(config) | {"group_id": None, "max_poll_records": 1})
        try:
            for partition, offset in addresses:
                tp = TopicPartition(partition.topic, partition.number)
                consumer.assign([tp])
                first, end = consumer.beginning_offsets([tp])[tp], consumer.end_offsets([tp])[tp]
                if not first <= offset < end:
                    continue
                consumer.seek(tp, offset)
                found = consumer.poll(timeout_ms=10_000).get(tp, [])
                if not found:
                    raise SourceUnavailable(
                        f"kafka {config.bootstrap}: {partition} did not give offset {offset}"
                    )
                if found[0].offset == offset:
                    yield partition, offset, found[0]
        finally:
            consumer.close()


def send_again(
    config: KafkaConfig, found: Iterable[tuple[Partition, int, Any]]
) -> Iterator[tuple[Partition, int]]:
    """Write messages again to the topic they came from, with their headers; yield the addresses that were."""
    with translated(config):
        settings = client_settings(config.bootstrap, config.security)
        producer: Any = KafkaProducer(**settings, acks="all", max_request_size=config.max_message_bytes)
        try:
            for partition, offset, record in found:
                sent = producer.send(
                    partition.topic, value=record.value or b"", key=record.key, headers=list(record.headers)
                )
                sent.get(timeout=30)
                yield partition, offset
        finally:
            producer.close(timeout=10)
