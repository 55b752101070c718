"""The figures of `make bench-stream`; ratios are medians of rounds that measure both sides one after another."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.results import Cell
from benchmarks.stream.bench import WIDE, Bench, Topic, measure
from benchmarks.stream.data import json_events, production, schema_of
from tests.servers.postgres import programs, start_postgres

CLIENTS = {"kafka_python": "kafka-python", "confluent": "confluent"}
STAGES = ("client", "poll", "decode", "profile", "checkpoint", "other")
MODELS = 50
OPEN_WINDOWS = 1_000
Run = dict[str, float]


@dataclass
class Report:
    """Figures by name, and what each kind of run spends on an event, in microseconds by stage."""

    figures: dict[str, Cell] = field(default_factory=dict)
    stages: list[dict[str, Cell]] = field(default_factory=list)

    def add(self, name: str, topic: Topic, runs: list[Run]) -> None:
        """Add the stages of some runs over a topic."""
        micros = {stage: median(run.get(stage, 0.0) for run in runs) / topic.events * 1e6 for stage in STAGES}
        line: dict[str, Cell] = {"run": name, **{stage: round(value, 2) for stage, value in micros.items()}}
        line["all"] = round(median(run["net"] for run in runs) / topic.events * 1e6, 2)
        line["closing, ms a window"] = round(median(run["closing"] for run in runs) / windows(topic) * 1e3, 1)
        self.stages.append(line)


def windows(topic: Topic) -> float:
    """Return how many windows of an hour the events of a topic fill."""
    return max(topic.events / 100_000, 1.0)


def json_figures(bench: Bench, report: Report) -> None:
    """Measure JSON messages with both clients, beside the bare clients and the bare decoder."""
    topic = bench.usual_topic()
    address = (bench.cluster.bootstrap, topic.name, topic.messages)
    rounds = [_round(bench, topic, address) for _ in range(bench.repeats)]
    figures = report.figures
    figures["bare_decode_events_per_cpu_second"] = _rate(topic, [one["decode"] for one in rounds])
    for name in CLIENTS:
        runs = [one[name] for one in rounds]
        report.add(f"JSON, {name}", topic, runs)
        figures[f"bare_poll_events_per_cpu_second_{name}"] = _rate(topic, [run["bare"] for run in runs])
        figures[f"events_per_cpu_second_{name}"] = _rate(topic, [run["net"] for run in runs])
        figures[f"end_to_end_ratio_{name}"] = median(
            (one[name]["bare"] + one["decode"]) / one[name]["net"] for one in rounds
        )
    figures["end_to_end_ratio"] = figures["end_to_end_ratio_kafka_python"]
    runs = [one["kafka_python"] for one in rounds]
    figures["profile_share"] = median(run["profile"] / run["net"] for run in runs)


def _round(bench: Bench, topic: Topic, address: tuple[object, ...]) -> dict[str, Any]:
    one: dict[str, Any] = {"decode": measure("decode", *address, "m")["cpu"]}
    for name, client in CLIENTS.items():
        bare = measure("poll", *address, client)["cpu"]
        one[name] = {**bench.worker(topic, client=client), "bare": bare}
    return one


def arrow_figures(bench: Bench, report: Report) -> None:
    """Measure Arrow messages: ten times the events, since each costs a tenth."""
    topic = bench.arrow_topic(10 * bench.events)
    for name, client in CLIENTS.items():
        bare = [measure("poll", bench.cluster.bootstrap, topic.name, topic.messages, client)["cpu"]]
        runs = [bench.worker(topic, client=client) for _ in range(bench.repeats)]
        report.add(f"Arrow, {name}", topic, runs)
        rate = _rate(topic, [run["net"] for run in runs])
        usual = bench.usual_topic()
        beside = _rate(usual, [bench.worker(usual, client=client)["net"]])
        report.figures[f"bare_poll_events_per_cpu_second_arrow_{name}"] = _rate(topic, bare)
        report.figures[f"events_per_cpu_second_arrow_{name}"] = rate
        report.figures[f"arrow_ratio_{name}"] = rate / beside
    for figure in ("events_per_cpu_second_arrow", "arrow_ratio"):
        report.figures[figure] = report.figures[f"{figure}_kafka_python"]


def shape_figures(bench: Bench, report: Report) -> None:
    """Measure many models and many features, each beside one model of 50 features in the same round."""
    one, models = bench.usual_topic(), [f"m{i:02d}" for i in range(MODELS)]
    many = bench.json_topic(models, bench.events)
    wide = bench.json_topic(["m"], max(bench.events // 10, 1_000), WIDE)
    pairs, values, runs = [], [], []
    for _ in range(bench.repeats):
        usual = bench.worker(one)["net"] / one.events
        runs.append(bench.worker(many, models))
        pairs.append(usual / (runs[-1]["net"] / many.events))
        values.append(bench.worker(wide, shape=WIDE)["net"] / wide.events / 10 / usual)
    report.add(f"JSON, {MODELS} models", many, runs)
    report.figures["many_models_ratio"] = median(pairs)
    report.figures["cpu_per_value_500_features_ratio"] = median(values)


def fleet_figures(bench: Bench, report: Report) -> None:
    """Measure what two workers over PostgreSQL spend on an event, beside one; long enough for both to have joined."""
    report.figures["two_workers_cpu_ratio"] = None
    try:
        initdb, postgres = programs()
    except FileNotFoundError as error:
        print(error)
        return
    with tempfile.TemporaryDirectory(prefix="mlhealth-bench-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        server, _ = start_postgres(Path(folder), initdb=initdb, postgres=postgres)
        try:
            topic, ratios = bench.json_topic(["m"], 3 * bench.events), []
            for repeat in range(bench.repeats):
                spent = []
                for count in (1, 2):
                    name = f"bench_{repeat}_{count}"
                    server.execute(f"CREATE DATABASE {name}")
                    url = bench.store(["m"], url=server.url(name))
                    spent.append(bench.workers(topic, url, count))
                ratios.append(spent[1] / spent[0])
        finally:
            server.stop()
    report.figures["two_workers_cpu_ratio"] = median(ratios)


def memory_figures(bench: Bench, report: Report) -> None:
    """Measure by how much a worker's memory grows from the first tenth of so many Arrow rows to the last."""
    topic = bench.arrow_topic(bench.memory_events)
    run = bench.worker(topic)
    report.figures["rss_growth_mb"] = run["rss_growth_mb"]
    report.figures["rss_mb"] = run["rss_mb"]
    report.figures["rss_events"] = bench.memory_events
    report.add("Arrow, memory", topic, [run])


def takeover_figures(bench: Bench, report: Report) -> None:
    """Measure the seconds from the assignment of partitions with 1,000 open windows to the first new report."""
    per_window = 28
    topic = bench.json_topic(["m"], OPEN_WINDOWS * per_window)
    url = bench.store(["m"])
    settings: dict[str, object] = {"window": "1s", "lateness": "24h"}
    group = "takeover"
    first = bench.configuration(topic, url, group=group, model=settings)
    measure("worker", first, topic.events)
    bench.append(topic, iter(_next(topic)), ())
    found = measure("takeover", bench.configuration(topic, url, group=group, model=settings))
    report.figures["takeover_seconds"] = found["seconds"]
    report.figures["takeover_cpu_seconds"] = found["cpu"]
    report.figures["takeover_open_windows"] = OPEN_WINDOWS


def _next(topic: Topic) -> list[bytes]:
    return json_events(production(schema_of("m"), 100, topic.events))


def _rate(topic: Topic, seconds: list[float]) -> float:
    return topic.events / median(seconds)


PARTS: dict[str, Callable[[Bench, Report], None]] = {
    "json": json_figures,
    "arrow": arrow_figures,
    "shapes": shape_figures,
    "fleet": fleet_figures,
    "takeover": takeover_figures,
    "memory": memory_figures,
}
"""What is measured, by the name under which it can be measured apart."""
