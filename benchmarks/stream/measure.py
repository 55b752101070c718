"""`python -m benchmarks.stream.measure WHAT …`: one measurement in a process of its own, printed as JSON."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from benchmarks.stream.data import schema_of
from benchmarks.stream.stages import watched
from mlhealth.config.service import Config
from mlhealth.config.sources import KafkaConfig
from mlhealth.events import json as json_events
from mlhealth.events.messages import Partition
from mlhealth.garbage import collect_rarely
from mlhealth.store.database import Database
from mlhealth.store.tables import counters
from mlhealth.threads import single_threaded
from mlhealth.worker.closing import Closed
from tests.servers.process import resident_mb

_BLOCK = 8 * 1024 * 1024


def bare_poll(bootstrap: str, topic: str, messages: int, client: str) -> dict[str, float]:
    """Poll a topic with the client alone, doing nothing with the messages."""
    return {
        "cpu": _kafka_python(bootstrap, topic, messages)
        if client == "kafka-python"
        else _confluent(bootstrap, topic, messages)
    }


def _kafka_python(bootstrap: str, topic: str, messages: int) -> float:
    consumer = _consumer(bootstrap, topic)
    began, count = time.process_time(), 0
    while count < messages:
        count += sum(map(len, consumer.poll(timeout_ms=500).values()))
    spent = time.process_time() - began
    consumer.close()
    return spent


def _consumer(bootstrap: str, topic: str) -> Any:
    """Return a consumer of all partitions from their beginning, in no group."""
    from kafka import KafkaConsumer, TopicPartition

    from mlhealth.sources.kafka_settings import consumer_settings

    settings = consumer_settings(KafkaConfig(bootstrap=bootstrap, topics=(topic,))) | {"group_id": None}
    consumer = KafkaConsumer(**settings)
    partitions = [TopicPartition(topic, n) for n in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    for partition in partitions:
        consumer.seek(partition, 0)
    return consumer


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

    schema = schema_of(model)
    wanted = json_events.fields_read(schema, labels=False)
    spent, rows, fields = 0.0, 0, None
    for values in _blocks(bootstrap, topic, messages):
        fields = fields or json_events.typed_fields(values[0], schema, wanted)
        began = time.process_time()
        joined = b"\n".join(values)
        rows += arrow_json.read_json(
            pa.BufferReader(pa.py_buffer(joined)),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(joined) + 1),
            parse_options=arrow_json.ParseOptions(explicit_schema=fields, unexpected_field_behavior="ignore"),
        ).num_rows
        spent += time.process_time() - began
    if rows != messages:
        raise RuntimeError(f"{rows} rows of {messages} messages")
    return {"cpu": spent}


def _blocks(bootstrap: str, topic: str, messages: int) -> Iterator[list[bytes]]:
    """Yield the values of a topic in blocks of 8 MB, each read before it is yielded."""
    consumer = _consumer(bootstrap, topic)
    waiting: list[bytes] = []
    got = 0
    while got < messages:
        found = [record.value for records in consumer.poll(timeout_ms=500).values() for record in records]
        got += len(found)
        waiting += found
        if sum(map(len, waiting)) > _BLOCK or (got >= messages and waiting):
            yield waiting
            waiting = []
    consumer.close()


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
    tenth, whole = _settled(memory, messages / 10), _settled(memory, messages)
    found = {
        "cpu": cpu,
        "client": cpu - sum(stages.values()),
        "rss_mb": whole,
        "rss_growth_mb": whole - tenth,
    }
    return found | stages


def _settled(memory: Sequence[tuple[int, float]], at: float) -> float:
    """Return the median megabytes held after the checkpoint that lies nearest to event number `at`."""
    nearest = min((taken for taken, _ in memory), key=lambda taken: abs(taken - at))
    return median(mb for taken, mb in memory if taken == nearest)


def shared(config: str, messages: int) -> dict[str, float]:
    """Run one of several workers until the store holds all messages of the topic."""
    from mlhealth.app import build, worker

    service = build(Config.model_validate(json.loads(config)))
    work = worker(service)
    work.prepare()
    work.start(threading.Event())
    collect_rarely()
    began, clock = time.process_time(), watched(work)
    look = clock.timed(lambda: _stored(service.database), "looking")
    looked, taken = 0.0, 0
    with single_threaded():
        while taken < messages:
            work.turn()
            if time.monotonic() - looked > 1.0:
                looked, taken = time.monotonic(), look()
    cpu, stages = time.process_time() - began, clock.stop()
    cpu -= stages.pop("looking")
    work.finish()
    return {"cpu": cpu, **stages}


def _stored(database: Database) -> int:
    """Return how many events the store has counted."""
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.sum(counters.c.events))).scalar() or 0)


def takeover(config: str) -> dict[str, float]:
    """Start a worker on a store with open windows; seconds from its partitions' assignment to the first new report."""
    from mlhealth.app import build, worker

    work = worker(build(Config.model_validate(json.loads(config))))
    begun: list[tuple[float, float]] = []
    assigned = work.assigned

    def noted(partitions: Collection[Partition]) -> Mapping[Partition, int]:
        begun.append((time.monotonic(), time.process_time()))
        return assigned(partitions)

    work.assigned = noted  # type: ignore[method-assign]
    done: list[object] = []
    close = work.close_windows

    def closed(*limits: float) -> list[Closed]:
        found = close(*limits)
        done.extend(report for one in found for report in one.reports)
        return found

    work.close_windows = closed  # type: ignore[method-assign, assignment]
    work.start(threading.Event())
    collect_rarely()
    with single_threaded():
        while not done:
            work.turn()
    seconds, cpu = time.monotonic() - begun[0][0], time.process_time() - begun[0][1]
    work.finish()
    return {"seconds": seconds, "cpu": cpu}


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


def main() -> None:
    """Measure what the first argument names and print it."""
    what, *arguments = sys.argv[1:]
    known: dict[str, Callable[..., dict[str, float]]] = {
        "poll": lambda b, t, n, c: bare_poll(b, t, int(n), c),
        "decode": lambda b, t, n, m: bare_decode(b, t, int(n), m),
        "worker": lambda c, n: end_to_end(Path(c).read_text(), int(n)),
        "takeover": lambda c: takeover(Path(c).read_text()),
        "shared": lambda c, n: shared(Path(c).read_text(), int(n)),
    }
    print(json.dumps(known[what](*arguments)))


if __name__ == "__main__":
    main()
