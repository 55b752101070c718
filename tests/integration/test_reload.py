"""A running service takes up a changed configuration without an end of its process, and refuses a wrong one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaProducer

from mlhealth.baseline import files
from mlhealth.clock import to_iso
from mlhealth.sources.base import WATERMARK_HEADER
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.process import wait_until
from tests.servers.service import StreamService, mlhealth
from tests.servers.stream import HEADERS, START, WINDOW, loan_baseline, loan_events

pytestmark = pytest.mark.timeout(300)
MODELS = "loans: {window: 10m, lateness: 10m, disorder: 1s}"


@pytest.fixture
def service(kafka: KafkaCluster, tmp_path: Path) -> Iterator[StreamService]:
    """A service that runs, with the baseline in its store."""
    files.save(loan_baseline(), tmp_path / "baseline")
    topic = kafka.create_topic(f"reload-{uuid4().hex[:8]}", partitions=2)
    made = StreamService(tmp_path / "service", kafka.bootstrap, topic, MODELS)
    mlhealth("baseline", "push", tmp_path / "baseline", "-c", made.config)
    made.start()
    yield made
    made.process.stop()


def rewrite(service: StreamService, before: str, after: str) -> None:
    """Change the configuration's file."""
    text = service.config.read_text()
    assert before in text
    service.config.write_text(text.replace(before, after))


def wait_for_log(service: StreamService, text: str) -> None:
    """Wait until the service has said something."""
    wait_until(
        lambda: text in service.process.log.read_text(),
        what=f"{text!r}; {service.process.log_tail()}",
        timeout=60.0,
    )


def send(producer: Any, topic: str, first: int, rows: int) -> None:
    """Write events, one every two seconds of event time."""
    for i, event in enumerate(loan_events(rows, first=first)):
        producer.send(topic, value=event, partition=i % 2, headers=list(HEADERS))
    producer.flush(timeout=60)


def test_a_changed_configuration_is_taken_up_while_events_come(
    service: StreamService, kafka: KafkaCluster
) -> None:
    """A wrong file changes nothing; a right one is in force from then on, in the same process, with no event lost."""
    producer: Any = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    send(producer, service.topic, 0, 650)
    service.wait_for(300)
    pid = service.process.pid
    rewrite(service, "lateness: 10m", "lateness: soon")
    wait_for_log(service, "the changed configuration is refused, the old one stays: ")
    rewrite(service, "window: 10m, lateness: soon", "window: 5m, lateness: 10m")
    wait_for_log(service, "version 1 has open windows in steps of 10m, which cannot become 5m; keep window")
    rewrite(
        service,
        "window: 5m, lateness: 10m, disorder: 1s",
        "window: 10m, lateness: 10m, disorder: 1s, segments: [region]",
    )
    rewrite(service, f"port: {service.port}", f"port: {service.port + 1}")
    wait_for_log(service, "the changed configuration is in force: models.loans")
    assert "listen: changed, but that takes a restart" in service.process.log.read_text()
    service.process.send(signal.SIGHUP)
    send(producer, service.topic, 650, 650)
    for number in range(2):
        mark = [*HEADERS, (WATERMARK_HEADER, to_iso(START + 6 * WINDOW).encode())]
        producer.send(service.topic, value=b"", partition=number, headers=mark)
    producer.close(timeout=30)
    service.wait_for(1_300)
    assert service.process.running
    assert service.process.pid == pid
    assert service.counts() == {"accepted": 1_300}
    assert service.reports("region=eu")
    assert [line for line in service.process.log.read_text().splitlines() if "Traceback" in line] == []
