"""The real servers that other tests stand on."""

from __future__ import annotations

import json
from urllib.request import urlopen

import psycopg
import pytest
from kafka import KafkaConsumer, KafkaProducer
from playwright.sync_api import Page

from tests.servers.kafka_broker import KafkaCluster
from tests.servers.monitoring import Factory


def _sent_and_read(bootstrap: str, topic: str, count: int) -> set[bytes]:
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for number in range(count):
        producer.send(topic, str(number).encode())
    producer.flush()
    producer.close()
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=10_000
    )
    read: set[bytes] = set()
    for record in consumer:
        read.add(record.value)
        if len(read) == count:
            break
    consumer.close()
    return read


def test_kafka_keeps_messages_over_kill(kafka: KafkaCluster) -> None:
    """Messages acknowledged before `kill -9` of the broker are there after its restart."""
    topic = kafka.create_topic("kept-over-kill", partitions=3)
    assert len(_sent_and_read(kafka.bootstrap, topic, 100)) == 100
    kafka.kill()
    kafka.start()
    assert len(_sent_and_read(kafka.bootstrap, topic, 100)) == 100


@pytest.mark.slow
def test_three_brokers_lose_one(kafka_cluster: KafkaCluster) -> None:
    """A three-node cluster takes and gives messages while one node is dead."""
    topic = kafka_cluster.create_topic("one-dead", partitions=3)
    kafka_cluster.kill(1)
    assert len(_sent_and_read(kafka_cluster.bootstrap, topic, 50)) == 50


def test_postgres_is_fresh_for_each_test(postgres: str) -> None:
    """Every test gets a database of its own without any table."""
    with psycopg.connect(postgres.replace("+psycopg", "")) as connection:
        found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert found == (0,)


def test_prometheus_answers_a_query(prometheus: Factory) -> None:
    """A Prometheus started from a configuration evaluates an expression."""
    server = prometheus("global: {scrape_interval: 1s}\n")
    with urlopen(f"{server.url}/api/v1/query?query=vector(42)", timeout=5) as answer:
        assert json.load(answer)["data"]["result"][0]["value"][1] == "42"


def test_alertmanager_has_no_alerts_yet(alertmanager: Factory) -> None:
    """An Alertmanager started from a configuration answers its API with an empty list."""
    server = alertmanager("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    with urlopen(f"{server.url}/api/v2/alerts", timeout=5) as answer:
        assert json.load(answer) == []


def test_chromium_runs_scripts(page: Page) -> None:
    """The browser renders a page and runs its script."""
    page.set_content("<h1></h1><script>document.querySelector('h1').textContent = 6 * 7</script>")
    assert page.inner_text("h1") == "42"
