"""The doors: one table goes in by every door of the service, and every door gives the same window reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest
import uvicorn
from fastapi import FastAPI, HTTPException
from kafka import KafkaProducer

from mlhealth.baseline.files import from_bytes, save, to_bytes
from mlhealth.baseline.record import Baseline
from mlhealth.client import Columns, Http, Kafka, Logger
from mlhealth.estimate_json import report_to_dict
from mlhealth.fit import fit
from mlhealth.schema.file import load_schema
from mlhealth.store import baselines as store
from mlhealth.store.schema import ensure
from tests.conftest import ROOT
from tests.e2e.loop_data import employment
from tests.format_writers import AVRO, JSON_SCHEMA, PROTOBUF, WRITERS, Registry, Shape, iso, micros, native
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.process import LOOPBACK, free_port, wait_until
from tests.servers.service import StreamService, mlhealth
from tests.servers.story import Story

ROWS = 3_000
Event = Mapping[str, Any]
SEPARATE = ("kserve", "seldon")


@pytest.mark.story
@pytest.mark.timeout(1200)
def test_every_door_gives_the_same_reports(kafka: KafkaCluster, tmp_path: Path, story: Story) -> None:
    """Ten formats and a logger over a real broker, and five ways over HTTP, all give the file's numbers."""
    data = employment(tmp_path, ROOT.parent / "shared" / "data", 100_000)
    table = pd.read_parquet(data.production)[:ROWS]
    rows: list[Any] = table.to_dict("records")
    events: list[Event] = [{**row, "event_id": f"e{i}"} for i, row in enumerate(rows)]
    kinds = {"f": "FP64", "i": "INT64"}
    features = {
        name: kinds.get(table[name].dtype.kind, "BYTES")
        for name in table.columns
        if name not in {"ts", "y_pred", "y_score"}
    }
    story.step(f"a model is trained; {ROWS:,} rows of a real table are its events")
    over_kafka = [*WRITERS, "client"]
    over_http = ["ndjson", "arrow", "cloudevents", "batches", "client"]
    models = [*(f"kafka-{door}" for door in over_kafka), *(f"http-{door}" for door in over_http)]
    bases = baselines_for(models, data.reference, data.schema)
    story.step(f"the same baseline for {len(bases)} doors")
    expected = estimated(tmp_path, events, next(iter(bases.values())))
    story.step(f"mlhealth estimate: {len(expected)} windows of the file")

    with registry(Shape("any", features)) as address:
        service = kafka_service(kafka, tmp_path, over_kafka, address)
        found = through(
            service, bases, "kafka", lambda: send_kafka(kafka, service, events, features, over_kafka)
        )
    for door in over_kafka:
        assert found[f"kafka-{door}"] == expected, door
        story.step(f"kafka, {door}: every number of every window is equal")

    service = http_service(tmp_path)
    found = through(service, bases, "http", lambda: send_http(service, events, features, over_http))
    for door in over_http:
        assert found[f"http-{door}"] == expected, door
        story.step(f"http, {door}: every number of every window is equal")


def baselines_for(models: Sequence[str], reference: Path, schema: Path) -> dict[str, Baseline]:
    """Return one baseline under many models' names: fitted once, the same but for the name."""
    spec = load_schema(schema)
    spec = spec.model_copy(update={"columns": spec.columns.model_copy(update={"id": "event_id"})})
    fitted = fit(pq.read_table(reference), spec, methods=["cbpe"])
    return {
        model: from_bytes(to_bytes(replace(fitted, hash="", schema=replace(fitted.schema, model=model))))
        for model in models
    }


def estimated(folder: Path, events: Sequence[Event], base: Baseline) -> list[object]:
    """Return what the command line says of the same rows in a file."""
    save(base, folder / "base")
    file = folder / "events.parquet"
    pd.DataFrame(list(events)).to_parquet(file)
    printed = mlhealth("estimate", file, "--baseline", folder / "base", "--window", "6h", "--format", "json")
    return [json.loads(line) for line in printed.splitlines()]


def kafka_service(kafka: KafkaCluster, folder: Path, doors: Sequence[str], registry: str) -> StreamService:
    """Return a service that reads one topic (or two) per format."""
    run = uuid4().hex[:6]
    lines = []
    for door in doors:
        kind = "json" if door == "client" else door
        for topic in topics_of(run, door):
            kafka.create_topic(topic, partitions=2)
            lines.append(f"{topic}: {{model: kafka-{door}, version: '1', format: {kind}}}")
    names = [name for door in doors for name in topics_of(run, door)]
    service = StreamService(
        folder / "kafka", kafka.bootstrap, names[0], "default: {window: 6h}\n", source=f", run: {run}"
    )
    models = "\n".join(f"        {line}" for line in lines)
    service.config.write_text(
        f"store: sqlite:///mlhealth.db\nlisten: {{port: {service.port}}}\ncheckpoint: 500ms\n"
        f"schema_registry: {{url: '{registry}'}}\n"
        f"sources:\n  - kafka:\n      bootstrap: '{kafka.bootstrap}'\n      group: g-{run}\n"
        f"      idle: 5s\n      session: 6s\n      topics: [{', '.join(names)}]\n      models:\n{models}\n"
        "models:\n  default: {window: 6h}\n"
        "  kafka-sagemaker: {window: 6h, payload: {answers: [y_pred, y_score]}}\n"
    )
    service.topic = run
    return service


def topics_of(run: str, door: str) -> list[str]:
    """Return the topics of a format: two where requests and responses come apart."""
    if door not in SEPARATE:
        return [f"{run}-{door}"]
    return [f"{run}.ns.model.kafka-{door}.{part}" for part in ("inputs", "outputs")]


def http_service(folder: Path) -> StreamService:
    """Return a service that reads its inbox."""
    service = StreamService(folder / "http", "unused:9092", "unused", "default: {window: 6h}")
    service.config.write_text(
        f"store: sqlite:///mlhealth.db\nlisten: {{port: {service.port}}}\ncheckpoint: 500ms\n"
        "sources:\n  - inbox: {idle: 5s, max_rows: 1000000}\nmodels:\n  default: {window: 6h}\n"
    )
    return service


def through(
    service: StreamService, bases: Mapping[str, Baseline], way: str, send: Callable[[], None]
) -> dict[str, list[object]]:
    """Push the baselines, start the service, send, and return each model's reports as the command line prints them."""
    models = [model for model in bases if model.startswith(way)]
    with service.database() as database:
        ensure(database)
        with database.begin() as connection:
            for model in models:
                store.push(connection, bases[model], 0)
                store.activate(connection, bases[model].hash, 0)
    service.start()
    try:
        send()
        whole = ROWS * len(models)
        wait_until(
            lambda: sum(report.rows for report in service.reports()) >= whole,
            what=f"{whole} rows in reports; {service.counts()}; {service.process.log_tail()}",
            timeout=400.0,
            interval=0.5,
        )
    finally:
        service.process.stop()
    assert {outcome: n for outcome, n in service.counts().items() if n} == {"accepted": whole}
    return {model: printed(service, model) for model in models}


def printed(service: StreamService, model: str) -> list[object]:
    """Return a model's reports as `mlhealth estimate` prints them."""
    from mlhealth.clock import to_iso

    reports = [report for report in service.reports() if report.key.model == model]
    told = [
        report_to_dict(report, window=i, start=to_iso(report.key.start), end=to_iso(report.key.end))
        for i, report in enumerate(reports)
    ]
    return [json.loads(json.dumps(report)) for report in told]


def send_kafka(
    kafka: KafkaCluster,
    service: StreamService,
    events: Sequence[Event],
    features: Mapping[str, str],
    doors: Sequence[str],
) -> None:
    """Send the events through every format's own topics."""
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=20)
    try:
        for door in doors:
            shape = Shape(f"kafka-{door}", features)
            topics = topics_of(service.topic, door)
            if door == "client":
                with Logger(shape.model, "1", Kafka(producer, topics[0]), columns=COLUMNS) as logger:
                    log_all(logger, events, features)
            elif door in SEPARATE:
                halves(producer, door, topics, events, shape)
            else:
                for value in WRITERS[door](events, shape):
                    producer.send(topics[0], value=value)
        producer.flush()
    finally:
        producer.close()


def halves(producer: Any, door: str, topics: Sequence[str], events: Sequence[Event], shape: Shape) -> None:
    """Send requests and responses apart, the responses first: by header (KServe), by topic and key (Seldon)."""
    values = WRITERS[door](events, shape)
    for first in (1, 0):
        for i, event in enumerate(events):
            key, value, headers = event["event_id"].encode(), values[2 * i + first], []
            if door == "seldon":
                value = value.partition(b"\n")[2]
            else:
                found = json.loads(value)
                value = json.dumps(found.pop("data")).encode()
                headers = [(f"ce_{name}", str(said).encode()) for name, said in found.items()]
            producer.send(topics[first], value=value, key=key, headers=headers, timestamp_ms=stamp(event))


def stamp(event: Event) -> int:
    """Return an event's time in milliseconds."""
    return micros(event) // 1_000


COLUMNS = Columns(prediction="y_pred", score="y_score")


def log_all(logger: Logger, events: Sequence[Event], features: Mapping[str, str]) -> None:
    """Log events as a serving path would."""
    for event in events:
        asked = {name: event[name] for name in features}
        assert logger.log(asked, event["y_pred"], event["y_score"], id=event["event_id"], time=iso(event))


def send_http(
    service: StreamService, events: Sequence[Event], features: Mapping[str, str], doors: Sequence[str]
) -> None:
    """Send the events over every way into the inbox."""
    root = f"http://{LOOPBACK}:{service.port}"
    with httpx.Client(base_url=root, timeout=60.0) as client:
        for door in doors:
            model = f"http-{door}"
            path = f"/v1/models/{model}/versions/1/events"
            if door == "ndjson":
                body = b"\n".join(native(events))
                taken(client.post(path, content=body, headers={"Content-Type": "application/x-ndjson"}))
            elif door == "arrow":
                (body,) = WRITERS["arrow"](events, Shape(model, features))
                kind = "application/vnd.apache.arrow.stream"
                taken(client.post(path, content=body, headers={"Content-Type": kind}))
            elif door == "client":
                with Logger(model, "1", Http(root), columns=COLUMNS) as logger:
                    log_all(logger, events, features)
                assert logger.stats().sent == ROWS
            else:
                cloud_events(client, events, Shape(model, features), batched=door == "batches")


def cloud_events(client: httpx.Client, events: Sequence[Event], shape: Shape, *, batched: bool) -> None:
    """Send CloudEvents as KServe's logger does, one by one, or as batches."""
    found = [json.loads(value) for value in WRITERS["kserve"](events, shape)]
    if batched:
        for first in range(0, len(found), 500):
            kind = {"Content-Type": "application/cloudevents-batch+json"}
            taken(client.post("/v1/cloudevents", json=found[first : first + 500], headers=kind))
        return
    for event in found:
        body = json.dumps(event.pop("data"))
        headers = {f"ce-{name}": str(said) for name, said in event.items() if name != "datacontenttype"}
        taken(
            client.post(
                "/v1/cloudevents", content=body, headers={**headers, "Content-Type": "application/json"}
            )
        )


def taken(answer: httpx.Response) -> None:
    """Fail unless everything was accepted."""
    assert answer.status_code == 202, answer.text
    assert answer.json()["rejected"] == 0


@contextmanager
def registry(shape: Shape) -> Iterator[str]:
    """Serve a schema registry's answers for the schemas of a shape."""
    known = Registry(shape)
    app = FastAPI()

    @app.get("/schemas/ids/{number}")
    def schema(number: int) -> dict[str, str]:
        if number not in {AVRO, PROTOBUF, JSON_SCHEMA}:
            raise HTTPException(404)
        found = known.schema(number)
        return (
            {"schema": found.text}
            if found.kind == "AVRO"
            else {"schema": found.text, "schemaType": found.kind}
        )

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, LOOPBACK, port, log_config=None, ws="none"))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, what="the schema registry", timeout=30)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
