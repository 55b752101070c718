"""Which of a Kafka client's errors end a worker, and which it waits out."""

from __future__ import annotations

from types import SimpleNamespace

import confluent_kafka
import pytest
from kafka import errors

from mlhealth.config.sources import KafkaConfig
from mlhealth.errors import ConfigError, SourceUnavailable
from mlhealth.events.messages import Partition
from mlhealth.sources.confluent import ConfluentSource
from mlhealth.sources.kafka_settings import _HOPELESS, translated

CONFIG = KafkaConfig(bootstrap="localhost:9092", topics=("a",))
FORGOTTEN = (
    errors.UnknownMemberIdError,
    errors.IllegalGenerationError,
    errors.RebalanceInProgressError,
    errors.CommitFailedError,
    errors.NotLeaderForPartitionError,
    errors.KafkaTimeoutError,
)


@pytest.mark.parametrize("error", FORGOTTEN)
def test_what_passes_is_waited_out(error: type[errors.KafkaError]) -> None:
    """A member that the group forgot, or a broker that moved on, ends no worker."""
    with (
        pytest.raises(SourceUnavailable, match=f"kafka localhost:9092: {error.__name__}"),
        translated(CONFIG),
    ):
        raise error


@pytest.mark.parametrize("name", sorted(_HOPELESS))
def test_what_only_a_person_can_mend_is_told_as_such(name: str) -> None:
    """Missing rights and wrong settings are the configuration's errors; each is one that the client knows."""
    error: type[Exception] = getattr(errors, name)
    with pytest.raises(ConfigError, match=name), translated(CONFIG):
        raise error


def test_an_error_among_messages_is_waited_out() -> None:
    """What the faster client hands over instead of a message ends no worker either, wherever it stands."""
    source = ConfluentSource(CONFIG)
    broken = confluent_kafka.KafkaError(confluent_kafka.KafkaError._TRANSPORT)
    polled = [SimpleNamespace(error=lambda: None), SimpleNamespace(error=lambda: broken)]
    with pytest.raises(SourceUnavailable, match="kafka localhost:9092"):
        source._grouped(polled)


def test_the_ends_of_all_partitions_are_one_question() -> None:
    """However many partitions there are, the broker is asked once; an error of one is an error of all."""
    asked: list[list[confluent_kafka.TopicPartition]] = []
    broken = confluent_kafka.KafkaError(confluent_kafka.KafkaError._TRANSPORT)

    def answered(partitions: list[confluent_kafka.TopicPartition], timeout: float) -> list[SimpleNamespace]:
        asked.append(partitions)
        error = broken if len(asked) == 2 else None
        return [
            SimpleNamespace(topic=p.topic, partition=p.partition, offset=10 + p.partition, error=error)
            for p in partitions
        ]

    source = ConfluentSource(CONFIG)
    source._consumer = SimpleNamespace(offsets_for_times=answered)
    partitions = [Partition("a", number) for number in range(4)]
    assert source.ends(partitions) == {p: 10 + p.number for p in partitions}
    assert [p.partition for p in asked[0]] == [0, 1, 2, 3]
    assert len(asked) == 1
    with pytest.raises(SourceUnavailable, match="kafka localhost:9092"):
        source.ends(partitions)
