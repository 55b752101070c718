"""The real worker on a real broker: killed, cut off and fed rubbish, it ends with the reports of a calm run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
import sqlalchemy as sa

from mlhealth.baseline import files as baseline_files
from mlhealth.baseline.record import Baseline
from mlhealth.clock import to_iso
from mlhealth.records import WindowReport
from mlhealth.sources.base import WATERMARK_HEADER
from mlhealth.store.tables import rejections
from mlhealth.worker.loop import POINTS
from tests.conftest import ROOT
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.postgres import PostgresServer
from tests.servers.process import ServerProcess, wait_until
from tests.servers.service import StreamService, mlhealth
from tests.servers.stream import HEADERS, START, WINDOW, loan_baseline, loan_events

pytestmark = pytest.mark.timeout(400)
MODELS = "loans: {window: 10m, lateness: 10m, disorder: 1s, segments: [region]}"
EVENTS = 1_300
END = START + 5 * WINDOW


@pytest.fixture(scope="session")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Baseline]:
    """A small baseline as a folder."""
    baseline = loan_baseline()
    folder = tmp_path_factory.mktemp("baseline") / "loans"
    baseline_files.save(baseline, folder)
    return folder, baseline


def send(producer: Any, topic: str, events: Sequence[bytes], partitions: int = 2) -> None:
    """Write events round and round over the partitions."""
    for i, event in enumerate(events):
        producer.send(topic, value=event, partition=i % partitions, headers=list(HEADERS))
    producer.flush(timeout=60)


def complete(producer: Any, topic: str, partitions: int = 2, end: int = END) -> None:
    """Promise that nothing before `end` follows."""
    for partition in range(partitions):
        mark = [*HEADERS, (WATERMARK_HEADER, to_iso(end).encode())]
        producer.send(topic, value=b"", partition=partition, headers=mark)
    producer.flush(timeout=60)


def service_of(
    folder: Path, kafka: KafkaCluster, pushed: tuple[Path, Baseline], store: str = "sqlite:///mlhealth.db"
) -> StreamService:
    """Return a service on a fresh topic with the baseline in its store, not started."""
    topic = kafka.create_topic(f"stream-{uuid4().hex[:8]}", partitions=2)
    service = StreamService(folder, kafka.bootstrap, topic, MODELS, store=store)
    mlhealth("baseline", "push", pushed[0], "-c", service.config)
    return service


def verdicts(service: StreamService) -> list[tuple[object, ...]]:
    """Return everything a report says, but for its revision number, of all windows with rows."""
    found: list[WindowReport] = [
        r for s in ("", "region=eu", "region=us", "region=asia") for r in service.reports(s)
    ]
    return [(r.key, r.rows, r.estimates, r.health, r.drift, r.quality) for r in found if r.rows]


@pytest.fixture(scope="session")
def calm() -> dict[str, list[tuple[object, ...]]]:
    """Verdicts of the undisturbed run, kept for the session."""
    return {}


def undisturbed(
    calm: dict[str, list[tuple[object, ...]]],
    folder: Path,
    kafka: KafkaCluster,
    pushed: tuple[Path, Baseline],
    producer: Any,
) -> list[tuple[object, ...]]:
    """Return the verdicts of a service that nothing happens to."""
    if "" not in calm:
        service = service_of(folder / "calm", kafka, pushed)
        service.start()
        send(producer, service.topic, loan_events(EVENTS))
        complete(producer, service.topic)
        service.wait_for(EVENTS)
        service.process.stop()
        assert service.counts() == {"accepted": EVENTS}
        calm[""] = verdicts(service)
    return calm[""]


@pytest.mark.parametrize("point", POINTS)
def test_kill_9_at_a_named_point_loses_and_doubles_nothing(
    point: str,
    tmp_path: Path,
    kafka: KafkaCluster,
    pushed: tuple[Path, Baseline],
    producer: Any,
    calm: dict[str, list[tuple[object, ...]]],
) -> None:
    """A worker that is killed there, and one that goes on from its store, end with the reports of a calm run."""
    expected = undisturbed(calm, tmp_path, kafka, pushed, producer)
    service = service_of(tmp_path / "killed", kafka, pushed)
    events = loan_events(EVENTS)
    command = [sys.executable, "-m", "tests.servers.doomed_worker", str(service.config), point, "2"]
    doomed = ServerProcess(command, tmp_path / "doomed.log", env=_here())
    doomed.start()
    sent = 0

    def is_dead() -> bool:
        nonlocal sent
        if sent < EVENTS - 100 and service.counts().get("accepted", 0) == sent:
            send(producer, service.topic, events[sent : sent + 400])
            sent += 400
        return not doomed.running

    try:
        wait_until(is_dead, what=f"kill at {point}", timeout=150.0, interval=0.2)
    finally:
        doomed.kill()
    send(producer, service.topic, events[sent:])
    complete(producer, service.topic)
    service.start()
    service.wait_for(EVENTS)
    service.process.stop()
    assert service.counts() == {"accepted": EVENTS}
    assert verdicts(service) == expected


def test_a_broker_restart_loses_and_doubles_nothing(
    tmp_path: Path,
    kafka: KafkaCluster,
    pushed: tuple[Path, Baseline],
    producer: Any,
    calm: dict[str, list[tuple[object, ...]]],
) -> None:
    """A service whose broker is killed and comes back goes on by itself, without a restart of its own."""
    expected = undisturbed(calm, tmp_path, kafka, pushed, producer)
    service = service_of(tmp_path / "service", kafka, pushed)
    service.start()
    send(producer, service.topic, loan_events(EVENTS)[:900])
    service.wait_for(600)
    pid = service.process.pid
    kafka.kill()
    kafka.start()
    send(producer, service.topic, loan_events(EVENTS)[900:])
    complete(producer, service.topic)
    service.wait_for(EVENTS)
    assert service.process.running
    assert service.process.pid == pid
    service.process.stop()
    assert service.counts() == {"accepted": EVENTS}
    assert verdicts(service) == expected


def test_a_postgresql_restart_loses_and_doubles_nothing(
    tmp_path: Path,
    kafka: KafkaCluster,
    pushed: tuple[Path, Baseline],
    producer: Any,
    calm: dict[str, list[tuple[object, ...]]],
    postgres: str,
    postgres_server: PostgresServer,
) -> None:
    """A service whose database is killed and comes back keeps its partitions, waits, and goes on by itself."""
    expected = undisturbed(calm, tmp_path, kafka, pushed, producer)
    service = service_of(tmp_path / "service", kafka, pushed, store=postgres)
    service.start()
    send(producer, service.topic, loan_events(EVENTS)[:900])
    service.wait_for(600)
    postgres_server.kill()
    send(producer, service.topic, loan_events(EVENTS)[900:])
    wait_until(
        lambda: "trying again" in service.process.log_tail(50), what="the outage is noticed", timeout=30.0
    )
    postgres_server.start()
    complete(producer, service.topic)
    service.wait_for(EVENTS)
    service.process.stop()
    assert service.counts() == {"accepted": EVENTS}
    assert verdicts(service) == expected


def test_rubbish_on_the_topic_stops_nothing(
    tmp_path: Path, kafka: KafkaCluster, pushed: tuple[Path, Baseline], producer: Any
) -> None:
    """A 10 MB message, no JSON, 1970 and 2100 are kept with their addresses; the good events make their reports."""
    service = service_of(tmp_path / "service", kafka, pushed)
    service.start()
    events = loan_events(600)
    event = orjson.loads(events[0])
    bad = [
        b"x" * 10 * 1024 * 1024,
        orjson.dumps({**event, "padding": "y" * 9 * 1024 * 1024, "y_pred": None}),
        b"not JSON",
        orjson.dumps({**event, "ts": "1970-01-01T00:00:01Z"}),
        orjson.dumps({**event, "ts": "2100-01-01T00:00:00Z"}),
        orjson.dumps({**event, "amount": [1]}),
    ]
    send(producer, service.topic, events[:300], partitions=1)
    send(producer, service.topic, bad, partitions=1)
    send(producer, service.topic, events[300:], partitions=1)
    complete(producer, service.topic)
    service.wait_for(600)
    service.process.stop()
    assert service.counts() == {"accepted": 600, "rejected": 4, "ancient": 1, "future": 1}
    with service.database() as database, database.read() as connection:
        kept = (
            connection.execute(sa.select(rejections.c.offset).order_by(rejections.c.offset)).scalars().all()
        )
    assert kept == [300, 301, 302, 303, 304, 305]


def _here() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}
