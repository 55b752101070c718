"""What every fault of the story needs: workers that die on request, topics, a store, and what all of it came to."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import sqlalchemy as sa
from kafka import KafkaProducer

from mlhealth.app import build, worker
from mlhealth.baseline.record import Baseline
from mlhealth.clock import SystemClock, to_iso
from mlhealth.config.service import load
from mlhealth.labels.kept_sample import KeptSample
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import WindowReport
from mlhealth.report_json import from_data
from mlhealth.sources.base import WATERMARK_HEADER
from mlhealth.store.tables import reports, window_profiles
from mlhealth.threads import single_threaded
from tests.servers.doomed_worker import killer
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.process import wait_until
from tests.servers.service import StreamService, mlhealth
from tests.servers.stream import HEADERS, START, WINDOW

MODEL = "window: 10m, lateness: 10m, disorder: 1s, segments: [region]"
SQLITE = "sqlite:///mlhealth.db"
logger = logging.getLogger(__name__)
FORK = multiprocessing.get_context("fork")


class SharedClock(SystemClock):
    """The machine's clock, moved by so many microseconds in every worker at once."""

    def __init__(self) -> None:
        self.shift: Any = FORK.Value("q", 0)

    def now(self) -> int:
        return super().now() + int(self.shift.value)


def _work(config: str, log: str, clock: SharedClock, fault: Callable[[str], None]) -> None:
    """Run a worker in this process until SIGTERM."""
    logging.basicConfig(filename=log, level=logging.INFO, force=True, format="%(process)d %(message)s")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    service = build(load(config), clock=clock)
    service.database.claim()
    try:
        with single_threaded():
            worker(service, fault).run(stop)
    except Exception:
        logger.exception("the worker ended")
        raise


class Fleet:
    """Worker processes of one service, killed and started again at will."""

    def __init__(self, service: StreamService) -> None:
        self.service = service
        self.clock = SharedClock()
        self.log = service.folder.with_suffix(".log")
        self._running: list[Any] = []

    def start(self, *, dies_at: str = "", times: int = 1) -> None:
        """Start one more worker; `dies_at`: it kills itself when it comes to that point for the n-th time."""
        arguments = (str(self.service.config), str(self.log), self.clock, killer(dies_at, times))
        process = FORK.Process(target=_work, args=arguments, daemon=True)
        process.start()
        self._running.append(process)

    @property
    def oldest(self) -> Any:
        """The process that was started first."""
        return self._running[0]

    def kill(self) -> None:
        """End the oldest worker as `kill -9` does."""
        process = self._running.pop(0)
        process.kill()
        process.join()

    def outlive(self, timeout: float) -> None:
        """Wait until the oldest worker has killed itself; do it where it has not come to its point in time."""
        self.oldest.join(timeout)
        self.kill()

    def leave(self) -> None:
        """Let the oldest worker drain, give its partitions back and end."""
        process = self._running.pop(0)
        process.terminate()
        process.join(60)
        assert process.exitcode == 0

    def stop(self) -> None:
        """Let every worker drain and end."""
        while self._running:
            self.leave()

    def wait_for_log(self, text: str, timeout: float = 120.0) -> None:
        """Wait until a worker has said something; fails at once where none runs any more."""

        def is_said() -> bool:
            assert self.oldest.is_alive(), self.log.read_text()[-3_000:]
            return text in self.log.read_text()

        wait_until(is_said, what=f"{text!r} in {self.log}", timeout=timeout)


class Topic:
    """A topic with its own producer; an event's partition depends on the event, so a copy follows it there."""

    def __init__(self, kafka: KafkaCluster, partitions: int = 2) -> None:
        self.kafka = kafka
        self.partitions = partitions
        self.name = kafka.create_topic(f"faults-{uuid4().hex[:8]}", partitions=partitions)
        self.producer = self._producer()
        self.end = START

    def _producer(self) -> Any:
        return KafkaProducer(
            bootstrap_servers=self.kafka.bootstrap, acks="all", delivery_timeout_ms=120_000, linger_ms=5
        )

    def partition_of(self, event: bytes) -> int:
        """Return where an event goes."""
        return zlib.crc32(event) % self.partitions

    def send(self, events: Sequence[bytes]) -> None:
        """Write events, and wait until the broker has them."""
        for event in events:
            partition = self.partition_of(event)
            self.producer.send(self.name, value=event, partition=partition, headers=list(HEADERS))
        self.producer.flush(timeout=120)

    def grown(self, partitions: int) -> None:
        """Write to the partitions that were added too."""
        self.producer.close(timeout=10)
        self.producer, self.partitions = self._producer(), partitions

    def complete(self, end: int) -> None:
        """Promise that nothing before `end` follows."""
        for partition in range(self.partitions):
            mark = [*HEADERS, (WATERMARK_HEADER, to_iso(end).encode())]
            self.producer.send(self.name, value=b"", partition=partition, headers=mark)
        self.producer.flush(timeout=120)
        self.producer.close(timeout=10)


@dataclass(frozen=True)
class Window:
    """All that a run made of one window or segment: the report, the profile behind it, the sample kept of it."""

    report: WindowReport
    profile: WindowProfile
    sample: KeptSample | None

    @property
    def verdict(self) -> tuple[object, ...]:
        """Everything the report says, but for its revision number."""
        r = self.report
        return (r.key, r.rows, r.estimates, r.health, r.drift, r.quality)


Windows = Mapping[tuple[str, int], Window]


def windows_of(service: StreamService, baseline: Baseline) -> Windows:
    """Return the latest revision of every window and segment that has rows."""
    r, p = reports.c, window_profiles.c
    same = (p.model == r.model) & (p.version == r.version) & (p.segment == r.segment)
    same &= (p.start == r.start) & (p.baseline == r.baseline)
    query = sa.select(r.report, p.profile, p.sample).where(same, r.latest, r.rows > 0)
    found = {}
    with service.database() as database, database.read() as connection:
        for row in connection.execute(query):
            report = from_data(row.report)
            sample = None if row.sample is None else KeptSample.from_bytes(row.sample, baseline.schema)
            profile = WindowProfile.from_bytes(row.profile, baseline.layout)
            found[report.key.segment, report.key.start] = Window(report, profile, sample)
    return found


def assert_same(found: Windows, expected: Windows) -> None:
    """Assert that counts, samples and verdicts are equal number for number, and moments within 1e-9."""
    assert sorted(found) == sorted(expected)
    for place, one in found.items():
        other = expected[place]
        assert one.verdict == other.verdict
        np.testing.assert_array_equal(one.profile.counts, other.profile.counts)
        np.testing.assert_allclose(one.profile.moments, other.profile.moments, rtol=1e-9)
        assert (one.sample is None) == (other.sample is None)
        if one.sample is not None and other.sample is not None:
            assert one.sample.table.equals(other.sample.table)


@dataclass(frozen=True)
class Setting:
    """Where and how one fault happens; `source` and `model` are more of those blocks of the configuration."""

    store: str = SQLITE
    partitions: int = 2
    source: str = ""
    model: str = ""


@dataclass
class Scene:
    """The baseline, the events of the story, and what a calm run made of them."""

    folder: Path
    baseline: Baseline
    saved: Path
    events: Sequence[bytes]
    expected: Windows = field(default_factory=dict)

    @property
    def end(self) -> int:
        """An event time after which every window of the events takes no more rows."""
        return START + (len(self.events) * 2 * 1_000_000 // WINDOW + 3) * WINDOW

    def set_up(self, kafka: KafkaCluster, setting: Setting, name: str = "") -> tuple[Topic, Fleet]:
        """Return a fresh topic, and a service on it with one worker running."""
        topic = Topic(kafka, setting.partitions)
        service = StreamService(
            self.folder / (name or topic.name),
            kafka.bootstrap,
            topic.name,
            f"loans: {{{MODEL}{setting.model}}}",
            store=setting.store,
            checkpoint="100ms",
            source=setting.source,
        )
        mlhealth("baseline", "push", self.saved, "-c", service.config)
        fleet = Fleet(service)
        fleet.start()
        return topic, fleet

    def play(
        self, topic: Topic, events: Sequence[bytes], faults: Sequence[Callable[[], object]] = ()
    ) -> None:
        """Send events in pieces, with a fault after each but the last."""
        size = -(-len(events) // (len(faults) + 1))
        for number in range(len(faults) + 1):
            topic.send(events[number * size : (number + 1) * size])
            if number < len(faults):
                faults[number]()
        topic.complete(self.end)

    def ends_as(self, fleet: Fleet, expected: Windows, **outcomes: int) -> None:
        """Assert that, with everything closed and all workers drained, the run came to `expected`."""
        rows = sum(w.report.rows for (segment, _), w in expected.items() if not segment)
        wanted = {"accepted": rows, **outcomes}
        wait_until(
            lambda: fleet.service.counts() == wanted and fleet.service.rows() >= rows,
            what=f"{wanted} and {rows} rows in reports (see {fleet.log})",
            timeout=180.0,
            interval=0.5,
        )
        fleet.stop()
        assert fleet.service.counts() == wanted
        assert_same(windows_of(fleet.service, self.baseline), expected)

    def calm(self, kafka: KafkaCluster, events: Sequence[bytes]) -> Windows:
        """Return what a run comes to that nothing happens to."""
        topic, fleet = self.set_up(kafka, Setting())
        self.play(topic, events)
        fleet.service.wait_for(len(events), timeout=180.0)
        fleet.stop()
        assert fleet.service.counts() == {"accepted": len(events)}
        return windows_of(fleet.service, self.baseline)
