"""`make bench-stream [ARGS="--events 100000"]`: CPU per event through a real broker, as ratios of one run."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from kafka import KafkaProducer

from benchmarks.results import Cell, markdown_table, write_results
from benchmarks.stream.data import arrow_messages, baseline_of, json_events, production, schema_of
from mlhealth.sources.base import FORMAT_HEADER, MODEL_HEADER, VERSION_HEADER
from mlhealth.store import baselines, schema
from mlhealth.store.database import Database
from tests.servers.kafka_broker import KafkaCluster

PARTITIONS = 2
CHUNK = 20_000


@dataclass(frozen=True)
class Bench:
    """A broker, a folder for stores, and how much to send."""

    cluster: KafkaCluster
    folder: Path
    events: int
    repeats: int

    def topic(
        self, models: Sequence[str], *, arrow: bool = False, numeric: int = 40, categorical: int = 10
    ) -> tuple[str, int]:
        """Write all events to a new topic, spread over the models; return its name and how many messages it holds."""
        name = self.cluster.create_topic(f"bench-{uuid4().hex[:8]}", partitions=PARTITIONS)
        producer: Any = KafkaProducer(
            bootstrap_servers=self.cluster.bootstrap, linger_ms=50, batch_size=512 * 1024
        )
        sent = 0
        for first in range(0, self.events, CHUNK):
            table = production(schema_of("m", numeric, categorical), min(CHUNK, self.events - first), first)
            for body in arrow_messages(table) if arrow else json_events(table):
                model = models[(sent // PARTITIONS) % len(models)]
                headers = [(MODEL_HEADER, model.encode()), (VERSION_HEADER, b"1")]
                headers += [(FORMAT_HEADER, b"arrow")] if arrow else []
                producer.send(name, value=body, partition=sent % PARTITIONS, headers=headers)
                sent += 1
            producer.flush(timeout=120)
        producer.close()
        return name, sent

    def store(self, models: Sequence[str], numeric: int = 40, categorical: int = 10) -> str:
        """Return the URL of a new store with a baseline for each model."""
        url = f"sqlite:///{self.folder / uuid4().hex}.db"
        database = Database.open(url)
        schema.ensure(database)
        with database.begin() as connection:
            for model in models:
                found = baselines.push(connection, baseline_of(model, numeric, categorical), 0)
                baselines.activate(connection, found, 0)
        database.close()
        return url

    def worker(self, topic: str, url: str, client: str = "kafka-python") -> dict[str, float]:
        """Return what a worker spends on the whole topic."""
        kafka = {
            "bootstrap": self.cluster.bootstrap,
            "topics": [topic],
            "group": uuid4().hex,
            "client": client,
        }
        config = {
            "store": url,
            "sources": [{"kafka": kafka}],
            "models": {"default": {"window": "1h", "disorder": "0s"}},
        }
        path = self.folder / f"{uuid4().hex}.json"
        path.write_text(json.dumps(config))
        return measure("worker", path, self.events)


def measure(*arguments: object) -> dict[str, float]:
    """Return one measurement, made in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.stream.measure", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def json_figures(bench: Bench) -> tuple[dict[str, Cell], float]:
    """Return the figures of JSON with kafka-python, and its events per CPU-second."""
    topic, messages = bench.topic(["m"])
    polls = [
        measure("poll", bench.cluster.bootstrap, topic, messages, "kafka-python")["cpu"]
        for _ in range(bench.repeats)
    ]
    decodes = [
        measure("decode", bench.cluster.bootstrap, topic, messages, "m")["cpu"] for _ in range(bench.repeats)
    ]
    runs = [bench.worker(topic, bench.store(["m"])) for _ in range(bench.repeats)]
    cpu = median(run["cpu"] - run["closing"] for run in runs)
    profile = median(run["profile"] for run in runs)
    figures: dict[str, Cell] = {
        "end_to_end_ratio": (median(polls) + median(decodes)) / cpu,
        "bare_poll_events_per_cpu_second": bench.events / median(polls),
        "bare_decode_events_per_cpu_second": bench.events / median(decodes),
        "events_per_cpu_second_kafka_python": bench.events / cpu,
        "profile_share": profile / cpu,
        "closing_cpu_seconds": median(run["closing"] for run in runs),
        "rss_growth_mb": median(run["rss_growth_mb"] for run in runs),
    }
    polls = [
        measure("poll", bench.cluster.bootstrap, topic, messages, "confluent")["cpu"]
        for _ in range(bench.repeats)
    ]
    runs = [bench.worker(topic, bench.store(["m"]), "confluent") for _ in range(bench.repeats)]
    other = median(_net(run) for run in runs)
    figures["events_per_cpu_second_confluent"] = bench.events / other
    figures["end_to_end_ratio_confluent"] = (median(polls) + median(decodes)) / other
    return figures, bench.events / cpu


def other_figures(bench: Bench, rate: float) -> dict[str, Cell]:
    """Return the figures of Arrow messages and of many models, beside the rate of JSON and one model."""
    topic, _ = bench.topic(["m"], arrow=True)
    arrow = median(_net(bench.worker(topic, bench.store(["m"]))) for _ in range(bench.repeats))
    models = [f"m{i:02d}" for i in range(50)]
    many, _ = bench.topic(models)
    url = bench.store(models)
    shared = _net(bench.worker(many, url))
    return {
        "events_per_cpu_second_arrow": bench.events / arrow,
        "arrow_ratio": bench.events / arrow / rate,
        "many_models_ratio": bench.events / shared / rate,
    }


def _net(run: dict[str, float]) -> float:
    return run["cpu"] - run["closing"]


def main() -> None:
    """Measure everything, print a table and write `benchmarks/results/stream.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cluster = KafkaCluster(Path(folder) / "kafka")
        cluster.start()
        try:
            bench = Bench(cluster, Path(folder), options.events, options.repeats)
            figures, rate = json_figures(bench)
            figures |= other_figures(bench, rate)
        finally:
            cluster.delete()
    figures |= {"events": options.events, "window_events": 100_000}
    rows = [{"figure": name, "value": value} for name, value in figures.items()]
    print(markdown_table(rows))
    print(write_results("stream", figures, rows))


if __name__ == "__main__":
    main()
