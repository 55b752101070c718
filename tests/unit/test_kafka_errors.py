"""Which of a Kafka client's errors end a worker, and which it waits out."""

from __future__ import annotations

from types import SimpleNamespace

import confluent_kafka
import pytest
from kafka import errors

from mlhealth.config.service import KafkaConfig
from mlhealth.errors import ConfigError, SourceUnavailable
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
