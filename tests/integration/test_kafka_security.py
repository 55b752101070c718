"""Both Kafka clients over TLS and SASL, against a real broker that lets nobody else in."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaProducer
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from pydantic import ValidationError

from mlhealth.config.sources import KafkaConfig, KafkaSecurity
from mlhealth.errors import MlhealthError
from mlhealth.events.messages import Partition
from mlhealth.sources.base import Address, DeadLetter, Gap, Owner, Source
from mlhealth.sources.confluent import ConfluentSource
from mlhealth.sources.kafka import KafkaSource
from mlhealth.sources.kafka_letters import LetterBox
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.kafka_security import PASSWORD, USER, BrokerSecurity, TokenServer, token_server

KINDS = {"kafka-python": KafkaSource, "confluent": ConfluentSource}
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "certificate")


class Everything(Owner):
    """An owner that reads all there is."""

    def assigned(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        return {}

    def revoked(self, partitions: Collection[Partition]) -> None:
        pass

    def lost(self, partitions: Collection[Partition]) -> None:
        pass

    def gap(self, gap: Gap) -> None:
        pass


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    """An OAuth server."""
    with token_server() as server:
        yield server


@pytest.fixture(scope="module")
def topic(secure_kafka: KafkaCluster) -> str:
    """A topic with five messages that the user may read."""
    name = secure_kafka.create_topic(f"secure-{uuid4().hex[:8]}")
    producer: Any = KafkaProducer(bootstrap_servers=secure_kafka.bootstrap)
    for number in range(5):
        producer.send(name, value=b"%d" % number)
    producer.flush(timeout=30)
    producer.close()
    for principal in (f"User:{USER}", f"User:CN={USER}.example.org", "User:*"):
        allow(secure_kafka, principal, ResourceType.TOPIC, name)
        allow(secure_kafka, principal, ResourceType.GROUP, "*")
    return name


def allow(cluster: KafkaCluster, principal: str, kind: ResourceType, name: str) -> None:
    """Let a user do everything with a topic or group."""
    admin = cluster.admin()
    pattern = ResourcePattern(kind, name)
    admin.create_acls([ACL(principal, "*", ACLOperation.ALL, ACLPermissionType.ALLOW, pattern)])
    admin.close()


def config(cluster: KafkaCluster, topic: str, security: KafkaSecurity) -> KafkaConfig:
    """Return the configuration of a reader."""
    guard = guard_of(cluster)
    bootstrap = guard.tls if security.protocol == "SSL" else guard.sasl
    return KafkaConfig(
        bootstrap=bootstrap, topics=(topic,), group=uuid4().hex, security=security, dead_letters=topic
    )


def guard_of(cluster: KafkaCluster) -> BrokerSecurity:
    """Return the security of a broker that has one."""
    assert cluster.security is not None
    return cluster.security


def security(
    cluster: KafkaCluster, mechanism: str, tokens: TokenServer, password: str = PASSWORD
) -> KafkaSecurity:
    """Return what a client is configured with."""
    guard = guard_of(cluster)
    if mechanism == "certificate":
        return KafkaSecurity(
            protocol="SSL",
            ca_file=str(guard.ca_file),
            certificate_file=str(guard.certificate_file),
            key_file=str(guard.key_file),
        )
    data = {"protocol": "SASL_SSL", "mechanism": mechanism, "username": USER, "password": password}
    if mechanism == "OAUTHBEARER":
        data["token_url"] = tokens.url
    return KafkaSecurity.model_validate({**data, "ca_file": str(guard.ca_file)})


def read(source: Source, wanted: int, seconds: float = 30.0) -> list[bytes]:
    """Return the first messages of a source."""
    found: list[bytes] = []
    end = time.monotonic() + seconds
    try:
        source.start(Everything())
        while len(found) < wanted and time.monotonic() < end:
            found += [v for _, messages in source.poll(0.2).batches for v in messages.values]
    finally:
        source.close()
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_both_clients_read_over_tls(
    secure_kafka: KafkaCluster, topic: str, tokens: TokenServer, mechanism: str, kind: str
) -> None:
    """Each client reads with each mechanism, and with a certificate of its own."""
    settings = config(secure_kafka, topic, security(secure_kafka, mechanism, tokens))
    assert read(KINDS[kind](settings), 5)[:5] == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.slow  # each client tries for ten seconds
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_told(
    secure_kafka: KafkaCluster, topic: str, tokens: TokenServer, mechanism: str, kind: str
) -> None:
    """A refused login ends in one line, not in waiting for ever."""
    wrong = security(secure_kafka, mechanism, tokens, password="wrong")
    with pytest.raises(MlhealthError) as caught:
        read(KINDS[kind](config(secure_kafka, topic, wrong)), 1)
    assert "\n" not in str(caught.value)


def test_dead_letters_go_the_same_way(secure_kafka: KafkaCluster, topic: str, tokens: TokenServer) -> None:
    """The producer of dead letters uses the reader's security."""
    settings = config(secure_kafka, topic, security(secure_kafka, "SCRAM-SHA-256", tokens))
    box = LetterBox(settings.model_copy(update={"dead_letters": topic}))
    letter = DeadLetter(Partition(topic, 0), 7, Address("loans", "1"), "not valid JSON", b"{")
    assert box.send([letter]) == 1
    box.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocol": "SASL_SSL"},
        {"mechanism": "PLAIN", "username": "a", "password": "b"},
        {"protocol": "SASL_SSL", "mechanism": "PLAIN"},
        {"protocol": "SASL_SSL", "mechanism": "OAUTHBEARER", "username": "a", "password": "b"},
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong: dict[str, str]) -> None:
    """A mechanism without SASL, or without its account or token address, is a configuration error."""
    with pytest.raises(ValidationError):
        KafkaSecurity.model_validate(wrong)
