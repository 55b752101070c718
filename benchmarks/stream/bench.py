"""What the benchmark works with: a broker, topics full of events, stores with baselines, measuring processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from kafka import KafkaProducer

from benchmarks.stream.data import (
    arrow_messages,
    baseline_of,
    json_events,
    production,
    renamed,
    schema_of,
    stamped,
)
from mlhealth.sources.base import FORMAT_HEADER, MODEL_HEADER, VERSION_HEADER
from mlhealth.store import baselines, schema
from mlhealth.store.database import Database
from tests.servers.kafka_broker import KafkaCluster

PARTITIONS = 2
CHUNK = 20_000
Settings = dict[str, object]


@dataclass(frozen=True)
class Topic:
    """A topic that holds so many events in so many messages."""

    name: str
    messages: int
    events: int


@dataclass(frozen=True)
class Shape:
    """How many numeric and categorical features a model has."""

    numeric: int = 40
    categorical: int = 10


USUAL, WIDE = Shape(), Shape(400, 100)


@dataclass(frozen=True)
class Bench:
    """A broker, a folder for stores, how many events to send, and how often to measure."""

    cluster: KafkaCluster
    folder: Path
    events: int
    repeats: int
    memory_events: int
    _known: dict[str, Topic] = field(default_factory=dict)

    def usual_topic(self) -> Topic:
        """Return the topic of one model's JSON events, written when first asked for."""
        if "usual" not in self._known:
            self._known["usual"] = self.json_topic(["m"], self.events)
        return self._known["usual"]

    def json_topic(self, models: Sequence[str], events: int, shape: Shape = USUAL, first: int = 0) -> Topic:
        """Write events as one JSON object per message, spread over the models by turns."""
        found = (
            body
            for at in range(first, first + events, CHUNK)
            for body in json_events(
                production(
                    schema_of("m", shape.numeric, shape.categorical), min(CHUNK, first + events - at), at
                )
            )
        )
        return self._written(found, models, events)

    def arrow_topic(self, events: int) -> Topic:
        """Write events as Arrow streams of 1,000 rows; values repeat every 20,000 rows, ids and times do not."""
        block = production(schema_of("m"), CHUNK, 0)
        found = (
            body
            for at in range(0, events, CHUNK)
            for body in arrow_messages(stamped(block.slice(0, min(CHUNK, events - at)), at))
        )
        return self._written(found, ["m"], events, ((FORMAT_HEADER, b"arrow"),))

    def append(self, topic: Topic, bodies: Iterator[bytes], headers: Sequence[tuple[str, bytes]]) -> int:
        """Write messages of model m to the partitions by turns; return how many."""
        return self._send(topic.name, bodies, ["m"], headers)

    def _written(
        self,
        bodies: Iterator[bytes],
        models: Sequence[str],
        events: int,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Topic:
        name = self.cluster.create_topic(f"bench-{uuid4().hex[:8]}", partitions=PARTITIONS)
        return Topic(name, self._send(name, bodies, models, headers), events)

    def _send(
        self, name: str, bodies: Iterator[bytes], models: Sequence[str], headers: Sequence[tuple[str, bytes]]
    ) -> int:
        producer: Any = KafkaProducer(
            bootstrap_servers=self.cluster.bootstrap, linger_ms=50, batch_size=512 * 1024
        )
        sent = 0
        for body in bodies:
            model = models[(sent // PARTITIONS) % len(models)]
            named = [(MODEL_HEADER, model.encode()), (VERSION_HEADER, b"1"), *headers]
            producer.send(name, value=body, partition=sent % PARTITIONS, headers=named)
            sent += 1
        producer.flush(timeout=300)
        producer.close()
        return sent

    def store(self, models: Sequence[str], shape: Shape = USUAL, url: str | None = None) -> str:
        """Return the URL of a new store (SQLite unless one is given) with a baseline for each model."""
        url = url or f"sqlite:///{self.folder / uuid4().hex}.db"
        database = Database.open(url)
        schema.ensure(database)
        fitted = baseline_of("m", shape.numeric, shape.categorical)
        with database.begin() as connection:
            for model in models:
                baselines.activate(connection, baselines.push(connection, renamed(fitted, model), 0), 0)
        database.close()
        return url

    def configuration(
        self,
        topic: Topic,
        url: str,
        client: str = "kafka-python",
        group: str = "",
        model: Settings | None = None,
    ) -> Path:
        """Return the file of a service that reads the topic."""
        kafka = {
            "bootstrap": self.cluster.bootstrap,
            "topics": [topic.name],
            "group": group or uuid4().hex,
            "client": client,
        }
        config = {
            "store": url,
            "sources": [{"kafka": kafka}],
            "models": {"default": {"window": "1h", "disorder": "0s", **(model or {})}},
        }
        path = self.folder / f"{uuid4().hex}.json"
        path.write_text(json.dumps(config))
        return path

    def worker(
        self, topic: Topic, models: Sequence[str] = ("m",), client: str = "kafka-python", shape: Shape = USUAL
    ) -> dict[str, float]:
        """Return what a worker with a new store spends on the whole topic; `net` is without closing windows."""
        config = self.configuration(topic, self.store(models, shape), client)
        return with_net(measure("worker", config, topic.events))

    def workers(self, topic: Topic, url: str, count: int) -> float:
        """Return the CPU seconds that so many workers of one group spend on the whole topic together."""
        group = uuid4().hex
        with ThreadPoolExecutor(count) as pool:
            runs = [
                pool.submit(measure, "shared", self.configuration(topic, url, group=group), topic.events)
                for _ in range(count)
            ]
            return sum(with_net(run.result())["net"] for run in runs)


def measure(*arguments: object) -> dict[str, float]:
    """Return one measurement, made in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.stream.measure", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def with_net(run: dict[str, float]) -> dict[str, float]:
    """Return a measurement with its CPU seconds but those of closing windows."""
    return {**run, "net": run["cpu"] - run["closing"]}
