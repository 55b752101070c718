"""Writing events to a real broker."""

from __future__ import annotations

from uuid import uuid4

import pytest
from kafka.errors import KafkaTimeoutError

from mlhealth.config.sources import KafkaConfig
from mlhealth.errors import ConfigError, SourceUnavailable
from mlhealth.sources.base import Address
from mlhealth.sources.kafka_producer import EventWriter, create_topic
from mlhealth.sources.kafka_settings import translated
from tests.servers.kafka_broker import KafkaCluster


def test_a_topic_is_created_once(kafka: KafkaCluster) -> None:
    """Asking for a topic that is there changes nothing, its partitions least of all."""
    topic = f"new-{uuid4().hex}"
    config = KafkaConfig(bootstrap=kafka.bootstrap, topics=(topic,))
    create_topic(config, topic, 3)
    create_topic(config, topic, 5)
    writer = EventWriter(config, topic, Address("loans", "1"))
    writer.close()
    assert list(writer.partitions) == [0, 1, 2]


def test_a_topic_that_is_not_there_is_told_at_once(kafka: KafkaCluster) -> None:
    """A misspelt topic is named, with the broker, in place of a minute's wait."""
    config = KafkaConfig(bootstrap=kafka.bootstrap, topics=("t",))
    with pytest.raises(ConfigError, match=f"^kafka {kafka.bootstrap}: there is no topic nowhere"):
        EventWriter(config, "nowhere", Address("loans", "1"))


def test_an_error_of_the_client_names_its_kind_once() -> None:
    """What the client puts in front of its message is not put there twice."""
    config = KafkaConfig(bootstrap="b:1", topics=("t",))
    with (
        pytest.raises(SourceUnavailable, match=r"^kafka b:1: KafkaTimeoutError: too late$"),
        translated(config),
    ):
        raise KafkaTimeoutError("too late")
