"""`make bench-stream [ARGS="--events 100000"]`: CPU per event through a real broker, as ratios of one run."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from kafka import KafkaProducer

from benchmarks.results import Cell, markdown_table, write_results
from benchmarks.stream.data import arrow_messages, baseline_of, json_events, production, renamed, schema_of
from mlhealth.sources.base import FORMAT_HEADER, MODEL_HEADER, VERSION_HEADER
from mlhealth.store import baselines, schema
from mlhealth.store.database import Database
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.postgres import programs, start_postgres

PARTITIONS = 2
CHUNK = 20_000
PAGE = Path(__file__).parents[2] / "docs" / "operations" / "stream.md"
BEGIN, END = "<!-- figures of make bench-stream -->", "<!-- end of figures -->"


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

    def store(
        self, models: Sequence[str], numeric: int = 40, categorical: int = 10, url: str | None = None
    ) -> str:
        """Return the URL of a new store (SQLite unless one is given) with a baseline for each model."""
        url = url or f"sqlite:///{self.folder / uuid4().hex}.db"
        database = Database.open(url)
        schema.ensure(database)
        fitted = baseline_of(models[0], numeric, categorical)
        with database.begin() as connection:
            for model in models:
                made = renamed(fitted, model)
                baselines.activate(connection, baselines.push(connection, made, 0), 0)
        database.close()
        return url

    def configuration(self, topic: str, url: str, client: str = "kafka-python", group: str = "") -> Path:
        """Return the file of a service that reads the topic."""
        kafka = {
            "bootstrap": self.cluster.bootstrap,
            "topics": [topic],
            "group": group or uuid4().hex,
            "client": client,
        }
        config = {
            "store": url,
            "sources": [{"kafka": kafka}],
            "models": {"default": {"window": "1h", "disorder": "0s"}},
        }
        path = self.folder / f"{uuid4().hex}.json"
        path.write_text(json.dumps(config))
        return path

    def worker(self, topic: str, url: str, client: str = "kafka-python") -> dict[str, float]:
        """Return what a worker spends on the whole topic."""
        return measure("worker", self.configuration(topic, url, client), self.events)

    def workers(self, topic: str, url: str, count: int) -> float:
        """Return the CPU seconds that so many workers of one group spend on the whole topic together."""
        group = uuid4().hex
        with ThreadPoolExecutor(count) as pool:
            runs = [
                pool.submit(measure, "shared", self.configuration(topic, url, group=group), self.events)
                for _ in range(count)
            ]
            return sum(_net(run.result()) for run in runs)


def measure(*arguments: object) -> dict[str, float]:
    """Return one measurement, made in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.stream.measure", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


CLIENTS = {"kafka_python": "kafka-python", "confluent": "confluent"}


def json_figures(bench: Bench) -> dict[str, Cell]:
    """Return the figures of JSON messages with both clients, beside the bare clients and the bare decoder."""
    topic, messages = bench.topic(["m"])
    address = (bench.cluster.bootstrap, topic, messages)
    decode = _median(bench, lambda: measure("decode", *address, "m")["cpu"])
    figures: dict[str, Cell] = {"bare_decode_events_per_cpu_second": bench.events / decode}
    for name, client in CLIENTS.items():
        poll = _median(bench, lambda client=client: measure("poll", *address, client)["cpu"])  # type: ignore[misc]
        runs = [bench.worker(topic, bench.store(["m"]), client) for _ in range(bench.repeats)]
        cpu = median(map(_net, runs))
        figures[f"bare_poll_events_per_cpu_second_{name}"] = bench.events / poll
        figures[f"events_per_cpu_second_{name}"] = bench.events / cpu
        figures[f"end_to_end_ratio_{name}"] = (poll + decode) / cpu
        if name == "kafka_python":
            figures["end_to_end_ratio"] = (poll + decode) / cpu
            figures["profile_share"] = median(run["profile"] for run in runs) / cpu
            figures["closing_cpu_seconds"] = median(run["closing"] for run in runs)
            figures["rss_growth_mb"] = median(run["rss_growth_mb"] for run in runs)
    return figures


def shape_figures(bench: Bench, rate: float) -> dict[str, Cell]:
    """Return the figures of Arrow messages, many models and many features, beside `rate` of JSON and one model."""
    topic, _ = bench.topic(["m"], arrow=True)
    arrow = _median(bench, lambda: _net(bench.worker(topic, bench.store(["m"]))))
    models = [f"m{i:02d}" for i in range(50)]
    topic, _ = bench.topic(models)
    many = _net(bench.worker(topic, bench.store(models)))
    wide = replace(bench, events=max(bench.events // 10, 1_000))
    topic, _ = wide.topic(["m"], numeric=400, categorical=100)
    broad = _net(wide.worker(topic, wide.store(["m"], 400, 100))) / wide.events
    return {
        "events_per_cpu_second_arrow": bench.events / arrow,
        "arrow_ratio": bench.events / arrow / rate,
        "many_models_ratio": bench.events / many / rate,
        "cpu_per_value_500_features_ratio": broad / 10 * rate,
    }


def fleet_figures(bench: Bench) -> dict[str, Cell]:
    """Return what two workers over PostgreSQL spend on an event, beside one."""
    try:
        initdb, postgres = programs()
    except FileNotFoundError as error:
        print(error)
        return {"two_workers_cpu_ratio": None}
    with tempfile.TemporaryDirectory(prefix="mlhealth-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        server, _ = start_postgres(Path(folder), initdb=initdb, postgres=postgres)
        try:
            topic, _ = bench.topic(["m"])
            spent = []
            for count in (1, 2):
                name = f"bench_{count}"
                server.execute(f"CREATE DATABASE {name}")
                spent.append(bench.workers(topic, bench.store(["m"], url=server.url(name)), count))
        finally:
            server.stop()
    return {"two_workers_cpu_ratio": spent[1] / spent[0]}


def write_docs(table: str) -> None:
    """Put the table where the documentation shows it."""
    text = PAGE.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{table.strip()}\n{END}{after}")


def _median(bench: Bench, measured: Callable[[], float]) -> float:
    return median(measured() for _ in range(bench.repeats))


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
            figures = json_figures(bench)
            print(figures, flush=True)
            rate = figures["events_per_cpu_second_kafka_python"]
            assert isinstance(rate, float)
            figures |= shape_figures(bench, rate)
            print(figures, flush=True)
            figures |= fleet_figures(bench)
        finally:
            cluster.delete()
    figures |= {"events": options.events, "window_events": 100_000}
    rows = [{"figure": name, "value": value} for name, value in figures.items()]
    table = markdown_table(rows)
    print(table)
    write_docs(table)
    print(write_results("stream", figures, rows))


if __name__ == "__main__":
    main()
