"""Events that could not be used: set aside, listed, and sent again, on a real broker and the inbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from kafka import KafkaConsumer, KafkaProducer
from typer.testing import CliRunner

from mlhealth.cli import app
from mlhealth.clock import DAY, ManualClock
from mlhealth.config.sources import KafkaConfig
from mlhealth.sources.base import Source
from mlhealth.sources.inbox import InboxSource, ReaderIdentity
from mlhealth.sources.kafka import KafkaSource
from mlhealth.store.database import Database
from mlhealth.store.inbox import Entry, Inbox
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.process import wait_until
from tests.servers.stream import HEADERS, START, Bench, loan_baseline, loan_events, run


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A store with a baseline of `loans`."""
    database = Database.open(f"sqlite:///{tmp_path / 'store.db'}")
    made = Bench(database, loan_baseline(), clock=ManualClock(START + DAY))
    made.prepare()
    yield made
    database.close()


def _command(folder: Path, sources: list[dict[str, Any]], *arguments: str) -> str:
    config = folder / "mlhealth.yaml"
    config.write_bytes(orjson.dumps({"store": f"sqlite:///{folder / 'store.db'}", "sources": sources}))
    done = CliRunner().invoke(app, ["deadletter", *arguments, "-c", str(config)], env={"COLUMNS": "250"})
    assert done.exit_code == 0, done.output
    return done.output


def _read(bench: Bench, source: Source, turns: int) -> None:
    worker = bench.worker(source, uuid4().hex)
    run(worker, source, bench.clock, turns)
    worker.finish()


def _messages(cluster: KafkaCluster, topic: str, wanted: int) -> list[Any]:
    consumer: Any = KafkaConsumer(topic, bootstrap_servers=cluster.bootstrap, auto_offset_reset="earliest")
    found: list[Any] = []

    def enough() -> bool:
        found.extend(r for records in consumer.poll(timeout_ms=500).values() for r in records)
        return len(found) >= wanted

    try:
        wait_until(enough, what=f"{wanted} messages in {topic}", timeout=30)
    finally:
        consumer.close()
    return found


def test_letters_carry_their_reason_and_can_be_sent_again(
    kafka: KafkaCluster, bench: Bench, tmp_path: Path
) -> None:
    """A bad message goes to the dead-letter topic with reason and address, is listed, and is sent again as it was."""
    topic = kafka.create_topic(f"letters-{uuid4().hex[:8]}")
    dead = kafka.create_topic(f"{topic}.dead")
    producer: Any = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    for value in (*loan_events(3), b"{not json"):
        producer.send(topic, value=value, headers=list(HEADERS))
    producer.flush(timeout=30)
    producer.close()
    block = {"bootstrap": kafka.bootstrap, "topics": [topic], "group": topic, "dead_letters": dead}
    _read(bench, KafkaSource(KafkaConfig.model_validate(block)), 25)
    (letter,) = _messages(kafka, dead, 1)
    headers = {name: value.decode() for name, value in letter.headers}
    assert letter.value == b"{not json"
    assert (headers["mlhealth-topic"], headers["mlhealth-offset"]) == (topic, "3")
    assert "not valid JSON" in headers["mlhealth-reason"]
    sources = [{"kafka": block}]
    assert "not valid JSON" in _command(tmp_path, sources, "list", "--model", "loans")
    assert "sent 1 messages again" in _command(tmp_path, sources, "requeue", "--reason", "JSON")
    again = _messages(kafka, topic, 5)[-1]
    assert (again.value, dict(again.headers)) == (b"{not json", dict(HEADERS))
    assert "not valid JSON" not in _command(tmp_path, sources, "list")


def test_messages_of_the_inbox_are_sent_again(bench: Bench, tmp_path: Path) -> None:
    """What came over HTTP for a model without a baseline waits in the store, and is read once one speaks for it."""
    inbox = Inbox(bench.database)
    inbox.append([Entry("new", "1", body=b"\n".join(loan_events(5)), rows=5)], bench.clock.now())
    _read(bench, InboxSource(inbox, ReaderIdentity("a", bench.clock)), 3)
    assert "sent 1 messages again" in _command(tmp_path, [{"inbox": {}}], "requeue", "--model", "new")
    assert inbox.bounds([0]) == {0: (1, 2)}
