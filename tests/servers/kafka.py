"""The `kafka` fixture: one real broker for the session, and `kafka_cluster` for three."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.kafka_broker import KafkaCluster
from tests.servers.kafka_files import fetch, missing
from tests.servers.kafka_security import BrokerSecurity
from tests.servers.process import ServerError, free_port, resident_mb
from tests.servers.registry import note, unavailable


def _started(
    config: pytest.Config, folder: Path, *, name: str, nodes: int = 1, security: BrokerSecurity | None = None
) -> KafkaCluster:
    if reason := missing():
        unavailable(config, name, reason)
    try:
        fetch()
        cluster = KafkaCluster(folder, [free_port() for _ in range(nodes)], security=security)
        seconds = cluster.start()
    except ServerError as error:
        unavailable(config, name, str(error))
    memory = sum(resident_mb(node.process.pid) for node in cluster.nodes)
    note(
        config,
        name,
        f"started Kafka {cluster.version}, {nodes} node(s), in {seconds:.1f} s, {memory:.0f} MB resident",
    )
    return cluster


@pytest.fixture(scope="session")
def _kafka_session(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaCluster]:
    cluster = _started(pytestconfig, tmp_path_factory.mktemp("kafka"), name="kafka")
    yield cluster
    cluster.delete()


@pytest.fixture(scope="module")
def secure_kafka(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KafkaCluster]:
    """A broker of the file's own with TLS and SASL listeners, accounts and rights: see `BrokerSecurity`."""
    folder = tmp_path_factory.mktemp("secure-kafka")
    security = BrokerSecurity(folder / "certificates")
    cluster = _started(pytestconfig, folder, name="kafka with TLS and SASL", security=security)
    yield cluster
    cluster.delete()


@pytest.fixture
def kafka(_kafka_session: KafkaCluster) -> KafkaCluster:
    """A running broker, shared by the session: use topics and groups of your own; restarted if a test ended it."""
    _kafka_session.start()
    return _kafka_session


@pytest.fixture
def kafka_cluster(pytestconfig: pytest.Config, tmp_path: Path) -> Iterator[KafkaCluster]:
    """Three nodes of the test's own, `min.insync.replicas` two: kill any one of them."""
    cluster = _started(pytestconfig, tmp_path / "kafka", nodes=3, name="kafka x3")
    yield cluster
    cluster.delete()
