"""Faults: whatever is killed, stopped, filled or taken away, the final reports are those of a calm run.

Every test is one fault on a real broker; the store is a real PostgreSQL but where SQLite's own fault is meant.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import NewPartitions

from mlhealth.baseline import files
from mlhealth.clock import HOUR
from mlhealth.store.closing import snapshot
from mlhealth.store.tables import counters
from tests.e2e.faults_scene import SQLITE, Fleet, Scene, Setting, Topic
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.postgres import PostgresServer
from tests.servers.process import wait_until
from tests.servers.story import Story
from tests.servers.stream import loan_baseline, loan_events

pytestmark = [pytest.mark.story, pytest.mark.timeout(900)]
EVENTS = 6_000
KILLS = 50
CLIENTS = pytest.mark.parametrize("client", ["kafka-python", "confluent"])


@pytest.fixture(scope="module")
def told() -> dict[str, Scene]:
    """The scene of this run, made by whoever comes first."""
    return {}


@pytest.fixture
def scene(
    told: dict[str, Scene], kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory, story: Story
) -> Scene:
    """The events, and what a calm run makes of them."""
    if not told:
        folder, baseline = tmp_path_factory.mktemp("faults"), loan_baseline()
        files.save(baseline, folder / "baseline")
        made = Scene(folder, baseline, folder / "baseline", loan_events(EVENTS))
        made.expected = made.calm(kafka, made.events)
        told[""] = made
        story.step(f"undisturbed: {EVENTS} events, {len(made.expected)} windows and segments with rows")
    return told[""]


@pytest.fixture
def store(postgres_server: PostgresServer) -> str:
    """The address of a fresh database, left to the server's own end."""
    postgres_server.start()
    name = f"faults_{uuid4().hex[:8]}"
    postgres_server.execute(f"CREATE DATABASE {name}")
    return postgres_server.url(name)


def test_kills(scene: Scene, kafka: KafkaCluster, store: str, story: Story) -> None:
    """50 times kill -9: 40 at random moments, 10 within a checkpoint or the closing of a window."""
    topic, fleet = scene.set_up(kafka, Setting(store, source=", instance: only"))
    moments = random.Random(7)

    def at_random() -> None:
        before = fleet.service.counts()
        with contextlib.suppress(Exception):
            wait_until(lambda: fleet.service.counts() != before, what="a checkpoint", timeout=20.0)
        time.sleep(moments.random() * 0.3)
        fleet.kill()
        fleet.start()

    def inside(point: str) -> Callable[[], None]:
        def fault() -> None:
            fleet.kill()
            fleet.start(dies_at=point)
            fleet.outlive(20.0)
            fleet.start()

        return fault

    points = [
        "inside checkpoint",
        "inside checkpoint",
        "inside checkpoint",
        "inside closing",
        "before checkpoint",
    ]
    faults = [inside(points[n // 5 % 5]) if n % 5 == 4 else at_random for n in range(KILLS)]
    scene.play(topic, scene.events, faults)
    scene.ends_as(fleet, scene.expected)
    story.step(f"{KILLS} x kill -9, 10 of them within a checkpoint or a closing: equal")


@CLIENTS
def test_the_broker_stops(scene: Scene, kafka: KafkaCluster, store: str, story: Story, client: str) -> None:
    """The broker is stopped for 30 s and restarted."""
    topic, fleet = scene.set_up(kafka, Setting(store, source=f", client: {client}"))
    scene.play(topic, scene.events, [lambda: _away(kafka.stop, kafka.start, 30.0)])
    scene.ends_as(fleet, scene.expected)
    story.step(f"broker stopped for 30 s and restarted, {client}: equal")


@CLIENTS
def test_one_of_three_brokers_is_lost(
    scene: Scene, kafka_cluster: KafkaCluster, store: str, story: Story, client: str
) -> None:
    """The leader of a partition is killed and stays away."""
    topic, fleet = scene.set_up(kafka_cluster, Setting(store, source=f", client: {client}"))
    scene.play(topic, scene.events, [lambda: kafka_cluster.kill(_leader(topic)), lambda: time.sleep(5)])
    scene.ends_as(fleet, scene.expected)
    story.step(f"one of three brokers killed for good, {client}: equal")


@CLIENTS
def test_workers_join_and_leave(
    scene: Scene, kafka: KafkaCluster, store: str, story: Story, client: str
) -> None:
    """Two workers join and leave under load, by SIGTERM and by kill -9, over four partitions."""
    topic, fleet = scene.set_up(kafka, Setting(store, 4, source=f", client: {client}"))
    faults = [fleet.start, fleet.start, fleet.leave, fleet.start, fleet.kill, fleet.leave]
    scene.play(topic, scene.events, [partial(_after, 2.0, fault) for fault in faults])
    scene.ends_as(fleet, scene.expected)
    story.step(f"workers joining, leaving and being killed under load, {client}: equal")


def test_the_database_is_away(
    scene: Scene, kafka: KafkaCluster, store: str, postgres_server: PostgresServer, story: Story
) -> None:
    """PostgreSQL is stopped, killed, and made read-only, each for some seconds under load."""
    topic, fleet = scene.set_up(kafka, Setting(store))

    def stopped() -> None:
        _wait_for(fleet, 1)  # a worker that finds no database when it starts ends at once
        _away(postgres_server.stop, postgres_server.start, 5.0)

    killed = lambda: _away(postgres_server.kill, postgres_server.start, 5.0)  # noqa: E731
    scene.play(topic, scene.events, [stopped, killed, lambda: _read_only(postgres_server, store, fleet)])
    scene.ends_as(fleet, scene.expected)
    story.step("PostgreSQL restarted, killed for 5 s, then read-only for 10 s: equal")


def test_the_disk_is_full(scene: Scene, kafka: KafkaCluster, story: Story) -> None:
    """The file system of a SQLite store has no room left, until somebody makes some."""
    name = "small-disk"
    with _small_disk(scene.folder / name) as is_mounted:
        topic, fleet = scene.set_up(kafka, Setting(SQLITE), name)
        undo: list[Callable[[], None]] = []
        fill = _fill_disk if is_mounted else _limit_file_size

        def take_room() -> None:
            # a process that maps the log's index for the first time on a full tmpfs is ended by the kernel
            fleet.wait_for_log("took partitions")
            undo.append(fill(fleet))

        def make_room() -> None:
            fleet.wait_for_log("trying again")
            time.sleep(5.0)
            undo[0]()

        scene.play(topic, scene.events, [take_room, make_room])
        scene.ends_as(fleet, scene.expected)
    how = "a tmpfs without room" if is_mounted else "a limit on the file's size (nothing can be mounted here)"
    story.step(f"disk full under SQLite for 5 s, {how}: equal")


def test_poison_and_growth(scene: Scene, kafka: KafkaCluster, store: str, story: Story) -> None:
    """Every thousandth message is poison, and the topic grows by a partition meanwhile."""
    topic, fleet = scene.set_up(kafka, Setting(store))
    events = [
        e for i, event in enumerate(scene.events) for e in ([b"poison", event] if i % 1000 == 0 else [event])
    ]
    scene.play(topic, events, [lambda: _grow(topic, fleet)])
    scene.ends_as(fleet, scene.expected, rejected=EVENTS // 1000)
    story.step("a poison message in every thousand, and a topic that grows by a partition: equal")


@CLIENTS
def test_retention_takes_messages(
    scene: Scene, kafka: KafkaCluster, store: str, story: Story, client: str
) -> None:
    """Unread messages are deleted under a worker that stands still, and under one that is away: gaps are told."""
    topic, fleet = scene.set_up(kafka, Setting(store, source=f", client: {client}"))
    gone: set[bytes] = set()
    read, frozen, away, rest = (
        scene.events[:2000],
        scene.events[2000:3000],
        scene.events[3000:4000],
        scene.events[4000:],
    )
    topic.send(read)
    _wait_for(fleet, 2000)
    os.kill(fleet.oldest.pid, signal.SIGSTOP)
    topic.send(frozen)
    gone |= _trim(topic, frozen, keep=100)
    os.kill(fleet.oldest.pid, signal.SIGCONT)
    _wait_for(fleet, 3000 - len(gone))
    fleet.kill()
    topic.send(away)
    gone |= _trim(topic, away, keep=100)
    fleet.start()
    scene.play(topic, rest)
    left = [event for event in scene.events if event not in gone]
    scene.ends_as(fleet, scene.calm(kafka, left), gap=len(gone))
    assert fleet.log.read_text().count("are gone; their events were never read") == 4
    story.step(
        f"{len(gone)} messages taken by retention, {client}: told as gaps of both partitions, the rest equal"
    )


def test_input_comes_twice_and_out_of_order(
    scene: Scene, kafka: KafkaCluster, store: str, story: Story
) -> None:
    """Every event is sent twice, and events come up to five minutes out of order; windows are revised."""
    topic, fleet = scene.set_up(kafka, Setting(store, model=", duplicates: remove"))
    order = random.Random(3)
    twice = []
    for at in range(0, EVENTS, 150):
        piece = [*scene.events[at : at + 150]] * 2
        order.shuffle(piece)
        twice += piece
    pauses = [lambda: time.sleep(1.0)] * 5
    scene.play(topic, twice, pauses)
    scene.ends_as(fleet, scene.expected, duplicate=EVENTS)
    story.step("every event twice and up to five minutes out of order, duplicates removed: equal")


def test_the_clock_is_set_back(scene: Scene, kafka: KafkaCluster, store: str, story: Story) -> None:
    """The workers' clock is set back by an hour under load, and stays there."""
    topic, fleet = scene.set_up(kafka, Setting(store))

    def set_back() -> None:
        _wait_for(fleet, 1)
        fleet.clock.shift.value = -HOUR

    scene.play(topic, scene.events, [set_back, lambda: time.sleep(2.0)])
    scene.ends_as(fleet, scene.expected)
    with fleet.service.database() as database, database.read() as connection:
        t = counters.c
        assert connection.execute(sa.select(sa.func.count()).where(t.outcome == "future")).scalar() == 0
    story.step("the clock set back by an hour: equal")


def _away(end: Callable[[], object], begin: Callable[[], object], seconds: float) -> None:
    end()
    time.sleep(seconds)
    begin()


def _after(seconds: float, fault: Callable[[], object]) -> None:
    time.sleep(seconds)
    fault()


def _wait_for(fleet: Fleet, accepted: int) -> None:
    wait_until(
        lambda: fleet.service.counts().get("accepted", 0) >= accepted,
        what=f"{accepted} events checkpointed (see {fleet.log})",
        timeout=60.0,
        interval=0.2,
    )


def _leader(topic: Topic) -> int:
    admin = topic.kafka.admin()
    (described,) = admin.describe_topics([topic.name])
    admin.close()
    return int(described["partitions"][0]["leader_id"])


def _read_only(server: PostgresServer, store: str, fleet: Fleet) -> None:
    database = store.rsplit("/", 1)[1]

    def change(value: str) -> None:
        server.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = {value}")
        server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")

    change("on")
    fleet.wait_for_log("read-only transaction")
    time.sleep(10.0)
    change("off")


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[bool]:
    """A folder on a file system of 24 MB of its own where this user may mount one; tells whether it is."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill_disk(fleet: Fleet) -> Callable[[], None]:
    """Fill the disk, while a reader keeps SQLite from using the room of its write-ahead log again."""
    reader = sqlite3.connect(
        fleet.service.folder / "mlhealth.db", isolation_level=None, check_same_thread=False
    )
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM partitions").fetchone()
    ballast = fleet.service.folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))

    def undo() -> None:
        ballast.unlink()
        reader.close()

    return undo


def _limit_file_size(fleet: Fleet) -> Callable[[], None]:
    def limit(size: int) -> None:
        resource.prlimit(fleet.oldest.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    limit(4096)
    return lambda: limit(resource.RLIM_INFINITY)


def _grow(topic: Topic, fleet: Fleet) -> None:
    admin = topic.kafka.admin()
    admin.create_partitions({topic.name: NewPartitions(total_count=3)})
    admin.close()
    with fleet.service.database() as database:
        wait_until(lambda: len(snapshot(database).offsets) == 3, what="the new partition", timeout=60.0)
    topic.grown(3)


def _trim(topic: Topic, events: Sequence[bytes], keep: int) -> set[bytes]:
    """Delete what the broker has, but for the last messages of each partition; return which of `events` are gone."""
    places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    consumer = KafkaConsumer(bootstrap_servers=topic.kafka.bootstrap)
    ends = consumer.end_offsets(places)
    consumer.close()
    admin = topic.kafka.admin()
    admin.delete_records({place: ends[place] - keep for place in places})
    admin.close()
    gone: set[bytes] = set()
    for number in range(topic.partitions):
        gone.update([event for event in events if topic.partition_of(event) == number][:-keep])
    return gone
