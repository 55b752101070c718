"""`python -m benchmarks.stream.measure WHAT …`: one measurement in a process of its own, printed as JSON."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from benchmarks.stream.data import schema_of
from benchmarks.stream.stages import watched
from mlhealth.config.service import Config, KafkaConfig
from mlhealth.events import json as json_events
from mlhealth.events.messages import Messages, Partition
from mlhealth.garbage import collect_rarely
from mlhealth.sources.base import Gap, Owner
from mlhealth.threads import single_threaded
from tests.servers.process import resident_mb


class _FromTheStart(Owner):
    def assigned(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        return {}

    def revoked(self, partitions: Collection[Partition]) -> None:
        pass

    def lost(self, partitions: Collection[Partition]) -> None:
        pass

    def gap(self, gap: Gap) -> None:
        pass


def bare_poll(bootstrap: str, topic: str, messages: int, client: str) -> dict[str, float]:
    """Poll a topic with the client alone, doing nothing with the messages."""
    return {
        "cpu": _kafka_python(bootstrap, topic, messages)
        if client == "kafka-python"
        else _confluent(bootstrap, topic, messages)
    }


def _kafka_python(bootstrap: str, topic: str, messages: int) -> float:
    from kafka import KafkaConsumer, TopicPartition

    from mlhealth.sources.kafka_settings import consumer_settings

    settings = consumer_settings(KafkaConfig(bootstrap=bootstrap, topics=(topic,))) | {"group_id": None}
    consumer = KafkaConsumer(**settings)
    partitions = [TopicPartition(topic, n) for n in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, 0)
    began, count = time.process_time(), 0
    while count < messages:
        count += sum(map(len, consumer.poll(timeout_ms=500).values()))
    spent = time.process_time() - began
    consumer.close()
    return spent


def _confluent(bootstrap: str, topic: str, messages: int) -> float:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bare", "enable.auto.commit": False})
    count = len(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, n, 0) for n in range(count)])
    began, got = time.process_time(), 0
    while got < messages:
        got += len([message.value() for message in consumer.consume(10_000, 0.5)])
    spent = time.process_time() - began
    consumer.close()
    return spent


def bare_decode(bootstrap: str, topic: str, messages: int, model: str) -> dict[str, float]:
    """Parse the topic's values into typed Arrow columns by the library alone, in blocks of 8 MB."""
    import pyarrow as pa
    import pyarrow.json as arrow_json

    parts = _all(bootstrap, topic, messages)
    fields = json_events._fields(parts[0].values[0], schema_of(model))
    spent, rows = 0.0, 0
    for part in parts:
        began = time.process_time()
        joined = b"\n".join(part.values)
        rows += arrow_json.read_json(
            pa.BufferReader(joined),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(joined) + 1),
            parse_options=arrow_json.ParseOptions(explicit_schema=fields, unexpected_field_behavior="ignore"),
        ).num_rows
        spent += time.process_time() - began
    if rows != messages:
        raise RuntimeError(f"{rows} rows of {messages} messages")
    return {"cpu": spent}


def _all(bootstrap: str, topic: str, messages: int) -> list[Messages]:
    from mlhealth.sources.kafka import KafkaSource

    source = KafkaSource(KafkaConfig(bootstrap=bootstrap, topics=(topic,), group=f"bare-{time.time_ns()}"))
    source.start(_FromTheStart())
    parts: list[Messages] = []
    waiting: list[Messages] = []
    while sum(map(len, parts)) + sum(map(len, waiting)) < messages:
        waiting += [found for _, found in source.poll(0.5).batches]
        if sum(len(value) for m in waiting for value in m.values) > 8 * 1024 * 1024:
            parts.append(Messages.concat(waiting))
            waiting = []
    source.close()
    return [*parts, *([Messages.concat(waiting)] if waiting else [])]


def end_to_end(config: str, messages: int) -> dict[str, float]:
    """Run the worker until its checkpoints hold all messages; CPU in all, by stage, and the memory it grew by.

    Baselines are read from the store before the clock starts: they are read once in a worker's life. `cpu` is of all
    threads; `client` is what others than the worker's own spent.
    """
    from mlhealth.app import build, worker

    service = build(Config.model_validate(json.loads(config)))
    work = worker(service)
    work.prepare()
    work.start(threading.Event())
    collect_rarely()
    memory: list[tuple[int, float]] = []
    began, clock = time.process_time(), watched(work)
    look = clock.timed(lambda: memory.append((_taken(work), resident_mb(os.getpid()))), "looking")
    with single_threaded():
        while not memory or memory[-1][0] < messages:
            work.turn()
            look()
    cpu, stages = time.process_time() - began, clock.stop()
    cpu -= stages.pop("looking")
    work.finish()
    early = next(mb for at, mb in memory if at >= messages / 10)
    return {
        "cpu": cpu,
        "client": cpu - sum(stages.values()),
        "rss_growth_mb": memory[-1][1] - early,
        **stages,
    }


def shared(config: str, messages: int) -> dict[str, float]:
    """Run one of several workers until the store holds all messages of the topic."""
    import sqlalchemy as sa

    from mlhealth.app import build, worker
    from mlhealth.store.tables import counters

    spent = {"closing": 0.0}
    service = build(Config.model_validate(json.loads(config)))
    work = worker(service)
    work.close_windows = _timed(work.close_windows, spent, "closing")  # type: ignore[method-assign]
    work.prepare()
    work.start(threading.Event())
    collect_rarely()
    began, looked, taken = time.process_time(), 0.0, 0
    with single_threaded():
        while taken < messages:
            work.turn()
            if time.monotonic() - looked > 1.0:
                looked = time.monotonic()
                with service.database.read() as connection:
                    taken = int(connection.execute(sa.select(sa.func.sum(counters.c.events))).scalar() or 0)
    cpu = time.process_time() - began
    work.finish()
    return {"cpu": cpu, "closing": spent["closing"]}


def _taken(work: Any) -> int:
    """Return how many events the checkpoints hold."""
    registry = work.metrics.registry
    return int(
        sum(
            sample.value
            for metric in registry.collect()
            if metric.name == "mlhealth_records"
            for sample in metric.samples
            if sample.name.endswith("_total")
        )
    )


def _timed(function: Callable[..., Any], spent: dict[str, float], name: str) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        began = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[name] += time.process_time() - began

    return timed


def main() -> None:
    """Measure what the first argument names and print it."""
    what, *arguments = sys.argv[1:]
    known: dict[str, Callable[..., dict[str, float]]] = {
        "poll": lambda b, t, n, c: bare_poll(b, t, int(n), c),
        "decode": lambda b, t, n, m: bare_decode(b, t, int(n), m),
        "worker": lambda c, n: end_to_end(Path(c).read_text(), int(n)),
        "shared": lambda c, n: shared(Path(c).read_text(), int(n)),
    }
    print(json.dumps(known[what](*arguments)))


if __name__ == "__main__":
    main()
