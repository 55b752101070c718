"""Writing events to Kafka: what `mlhealth replay` uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

from mlhealth.clock import to_iso
from mlhealth.config.sources import KafkaConfig
from mlhealth.errors import ConfigError, SourceUnavailable
from mlhealth.sources.base import MODEL_HEADER, VERSION_HEADER, WATERMARK_HEADER, Address
from mlhealth.sources.kafka_settings import client_settings, translated


def create_topic(config: KafkaConfig, topic: str, partitions: int) -> None:
    """Create a topic with the broker's default replication, unless it is there."""
    with _admin(config) as admin:
        try:
            admin.create_topics([NewTopic(topic, partitions, -1)])
        except TopicAlreadyExistsError:
            return


def _require(config: KafkaConfig, topic: str) -> None:
    """Raise ConfigError where there is no such topic: a producer would wait a minute for it to appear."""
    with _admin(config) as admin:
        if topic in admin.list_topics():
            return
    raise ConfigError(f"kafka {config.bootstrap}: there is no topic {topic}; create it first")


@contextmanager
def _admin(config: KafkaConfig) -> Iterator[Any]:
    with translated(config):
        admin = KafkaAdminClient(**client_settings(config.bootstrap, config.security))
        try:
            yield admin
        finally:
            admin.close()


class EventWriter:
    """A producer of one model version's events to one topic."""

    def __init__(self, config: KafkaConfig, topic: str, address: Address) -> None:
        self._config = config
        self._topic = topic
        self._failed: list[BaseException] = []
        _require(config, topic)
        self.headers = [(MODEL_HEADER, address.model.encode()), (VERSION_HEADER, address.version.encode())]
        with translated(config):
            self._producer: Any = KafkaProducer(
                **client_settings(config.bootstrap, config.security),
                acks="all",
                linger_ms=20,
                batch_size=256 * 1024,
                max_request_size=config.max_message_bytes,
            )
            found = self._producer.partitions_for(topic)
        self.partitions: Sequence[int] = sorted(found)

    def send(self, partition: int, body: bytes) -> None:
        """Send one message, waiting where the producer's buffer is full."""
        self._raise()
        with translated(self._config):
            future = self._producer.send(self._topic, value=body, partition=partition, headers=self.headers)
        future.add_errback(self._failed.append)

    def complete(self, event_time: int) -> None:
        """Promise, in every partition, that no event before `event_time` follows."""
        self.flush()
        mark = [*self.headers, (WATERMARK_HEADER, to_iso(event_time).encode())]
        for partition in self.partitions:
            with translated(self._config):
                self._producer.send(
                    self._topic, value=None, key=b"watermark", partition=partition, headers=mark
                )
        self.flush()

    def flush(self) -> None:
        """Wait until everything sent is acknowledged; raises SourceUnavailable where anything was not."""
        with translated(self._config):
            self._producer.flush(timeout=60)
        self._raise()

    def close(self) -> None:
        """Let go."""
        with translated(self._config):
            self._producer.close(timeout=10)

    def _raise(self) -> None:
        if self._failed:
            error = self._failed[0]
            raise SourceUnavailable(f"kafka {self._config.bootstrap}: {type(error).__name__}: {error}")
