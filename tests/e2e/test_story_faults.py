"""Faults: whatever is killed, stopped or taken away, the final reports are those of a run that nothing happened to."""

from __future__ import annotations

import multiprocessing
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaProducer
from kafka.admin import NewPartitions

from mlhealth.app import build, worker
from mlhealth.baseline import files as baseline_files
from mlhealth.clock import to_iso
from mlhealth.config.service import load
from mlhealth.sources.base import WATERMARK_HEADER
from mlhealth.store.closing import snapshot
from mlhealth.threads import single_threaded
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.postgres import PostgresServer
from tests.servers.process import wait_until
from tests.servers.service import StreamService, mlhealth
from tests.servers.story import Story
from tests.servers.stream import HEADERS, START, WINDOW, loan_baseline, loan_events

KILLS = 50
EVENTS = 6_000
END = START + (EVENTS * 2 * 1_000_000 // WINDOW + 2) * WINDOW
MODELS = "loans: {window: 10m, lateness: 10m, disorder: 1s}"
FORK = multiprocessing.get_context("fork")


def _work(config: str) -> None:
    """Run a worker in this process until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    service = build(load(config))
    service.database.claim()
    with single_threaded():
        worker(service).run(stop)


class Fleet:
    """Worker processes of one service, killed and started again at will."""

    def __init__(self, service: StreamService) -> None:
        self.service = service
        self._running: list[Any] = []

    def start(self) -> None:
        """Start one more worker."""
        process = FORK.Process(target=_work, args=(str(self.service.config),), daemon=True)
        process.start()
        self._running.append(process)

    def kill(self) -> None:
        """End the oldest worker as `kill -9` does."""
        process = self._running.pop(0)
        process.kill()
        process.join()

    def stop(self) -> None:
        """Let every worker drain and end."""
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.join(60)
        self._running.clear()


class Topic:
    """A topic with its own producer; events go round its partitions, in order of time."""

    def __init__(self, kafka: KafkaCluster, partitions: int = 2) -> None:
        self.kafka = kafka
        self.partitions = partitions
        self.name = kafka.create_topic(f"faults-{uuid4().hex[:8]}", partitions=partitions)
        self.producer: Any = KafkaProducer(
            bootstrap_servers=kafka.bootstrap, acks="all", delivery_timeout_ms=120_000
        )
        self._sent = 0

    def send(self, events: Sequence[bytes], *, wait: bool = True) -> None:
        """Write events, and wait until the broker has them."""
        for event in events:
            partition = self._sent % self.partitions
            self.producer.send(self.name, value=event, partition=partition, headers=list(HEADERS))
            self._sent += 1
        if wait:
            self.producer.flush(timeout=120)

    def complete(self) -> None:
        """Promise that nothing follows."""
        for partition in range(self.partitions):
            mark = [*HEADERS, (WATERMARK_HEADER, to_iso(END).encode())]
            self.producer.send(self.name, value=b"", partition=partition, headers=mark)
        self.producer.flush(timeout=120)
        self.producer.close(timeout=10)


def _service(
    folder: Path, topic: Topic, base: Path, store: str = "sqlite:///mlhealth.db", source: str = ""
) -> StreamService:
    service = StreamService(
        folder, topic.kafka.bootstrap, topic.name, MODELS, store=store, checkpoint="100ms", source=source
    )
    mlhealth("baseline", "push", base, "-c", service.config)
    return service


def _verdicts(service: StreamService) -> list[tuple[object, ...]]:
    return [(r.key, r.rows, r.estimates, r.health, r.drift, r.quality) for r in service.reports() if r.rows]


def _disturb(
    fleet: Fleet, topic: Topic, events: Sequence[bytes], disturbances: Sequence[Callable[[], None]]
) -> None:
    """Send the events in pieces, with a disturbance after each."""
    size = -(-len(events) // (len(disturbances) + 1))
    for i in range(0, len(events), size):
        topic.send(events[i : i + size])
        if i // size < len(disturbances):
            disturbances[i // size]()
    topic.complete()


@dataclass(frozen=True)
class Scene:
    """What every part of the story needs: the servers, the events, and the reports of a calm run."""

    kafka: KafkaCluster
    folder: Path
    base: Path
    events: Sequence[bytes]
    expected: Sequence[object] = ()

    def fleet(
        self, name: str, *, partitions: int = 2, store: str = "sqlite:///mlhealth.db", source: str = ""
    ) -> tuple[Topic, Fleet]:
        """Return a fresh topic and a service on it with one worker running."""
        topic = Topic(self.kafka, partitions)
        fleet = Fleet(_service(self.folder / name, topic, self.base, store, source))
        fleet.start()
        return topic, fleet


@pytest.mark.story
@pytest.mark.timeout(3600)
def test_nothing_is_lost_and_nothing_doubled(
    kafka: KafkaCluster, postgres: str, postgres_server: PostgresServer, tmp_path: Path, story: Story
) -> None:
    """50 kills at random moments, broker and database outages, growing topics: the final reports are equal."""
    base = tmp_path / "baseline"
    baseline_files.save(loan_baseline(), base)
    scene = Scene(kafka, tmp_path, base, loan_events(EVENTS))
    scene = replace(scene, expected=_calm(scene))
    story.step(f"undisturbed: {EVENTS} events, {len(scene.expected)} windows")
    _kills(scene)
    story.step(f"{KILLS} x kill -9 at random moments: equal")
    _broker_stops(scene)
    story.step("broker stopped for 30 s and restarted: equal")
    _database_stops(scene, postgres, postgres_server)
    story.step("PostgreSQL killed for 5 s, then read-only for 10 s: equal")
    _workers_come_and_go(scene, _fresh(postgres_server))
    story.step("two workers joining and being killed under load: equal")
    _poison_and_growth(scene)
    story.step("a poison message in every thousand, and a topic that grows by a partition: equal")


def _calm(scene: Scene) -> list[tuple[object, ...]]:
    topic, fleet = scene.fleet("calm")
    _disturb(fleet, topic, scene.events, [])
    fleet.service.wait_for(EVENTS, timeout=600)
    fleet.stop()
    assert fleet.service.counts() == {"accepted": EVENTS}
    return _verdicts(fleet.service)


def _kills(scene: Scene) -> None:
    moments = random.Random(7)
    topic, fleet = scene.fleet("kills", source=", instance: only")

    def kill() -> None:
        before = sum(fleet.service.counts().values())
        deadline = time.monotonic() + 20.0
        wait_until(
            lambda: sum(fleet.service.counts().values()) > before or time.monotonic() > deadline,
            what="a checkpoint",
            timeout=30.0,
        )
        time.sleep(moments.random() * 0.3)
        fleet.kill()
        fleet.start()

    _disturb(fleet, topic, scene.events, [kill] * KILLS)
    _assert_equal(fleet, scene.expected)


def _broker_stops(scene: Scene) -> None:
    topic, fleet = scene.fleet("broker")
    _disturb(fleet, topic, scene.events, [lambda: _outage(scene.kafka.stop, scene.kafka.start, 30.0)])
    _assert_equal(fleet, scene.expected)


def _database_stops(scene: Scene, url: str, server: PostgresServer) -> None:
    topic, fleet = scene.fleet("postgres", store=url)
    name = url.rsplit("/", 1)[1]
    killed = partial(_outage, server.kill, server.start, 5.0)
    read_only = partial(_outage, *_read_only(server, name), 10.0)
    _disturb(fleet, topic, scene.events, [killed, read_only])
    _assert_equal(fleet, scene.expected)


def _workers_come_and_go(scene: Scene, url: str) -> None:
    topic, fleet = scene.fleet("fleet", partitions=4, store=url)
    _disturb(fleet, topic, scene.events, [fleet.start, fleet.kill, fleet.start, fleet.kill])
    _assert_equal(fleet, scene.expected)


def _poison_and_growth(scene: Scene) -> None:
    topic, fleet = scene.fleet("poison")
    poisoned = [
        bad
        for i, event in enumerate(scene.events)
        for bad in ([b"poison", event] if i % 1000 == 0 else [event])
    ]
    _disturb(fleet, topic, poisoned, [lambda: _grow(topic, fleet.service)])
    _assert_equal(fleet, scene.expected, rejected=EVENTS // 1000)


def _assert_equal(fleet: Fleet, expected: Sequence[object], rejected: int = 0) -> None:
    fleet.service.wait_for(EVENTS, timeout=600)
    fleet.stop()
    assert fleet.service.counts() == {"accepted": EVENTS, **({"rejected": rejected} if rejected else {})}
    assert _verdicts(fleet.service) == list(expected)


def _outage(end: Callable[[], object], begin: Callable[[], object], seconds: float) -> None:
    end()
    time.sleep(seconds)
    begin()


def _read_only(server: PostgresServer, database: str) -> tuple[Callable[[], None], Callable[[], None]]:
    def change(value: str) -> None:
        server.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = {value}")
        server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")

    return (lambda: change("on")), (lambda: change("off"))


def _fresh(server: PostgresServer) -> str:
    name = f"faults_{uuid4().hex[:8]}"
    server.execute(f"CREATE DATABASE {name}")
    return server.url(name)


def _grow(topic: Topic, service: StreamService) -> None:
    admin = topic.kafka.admin()
    admin.create_partitions({topic.name: NewPartitions(total_count=3)})
    admin.close()
    with service.database() as database:
        wait_until(lambda: len(snapshot(database).offsets) == 3, what="the new partition", timeout=60.0)
    topic.producer.close(timeout=10)
    topic.producer = KafkaProducer(bootstrap_servers=topic.kafka.bootstrap, acks="all")
    topic.partitions = 3
