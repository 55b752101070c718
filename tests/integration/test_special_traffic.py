"""Sampled logs, and labels by key and time, through a real broker and the service's own doors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import orjson
import pandas as pd
import pytest

from mlhealth.baseline import files as baseline_files
from mlhealth.baseline.record import Baseline
from mlhealth.clock import SECOND, to_iso
from mlhealth.estimate_json import report_to_dict
from mlhealth.events.labels import LABEL_FORMAT
from mlhealth.fit import fit
from mlhealth.records import WindowReport
from mlhealth.sources.base import FORMAT_HEADER
from mlhealth.store import baselines as store
from mlhealth.store.schema import ensure
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.process import LOOPBACK, wait_until
from tests.servers.service import StreamService, mlhealth
from tests.servers.stream import START, WINDOW, headers, loan_rows, loan_schema

pytestmark = pytest.mark.timeout(400)
EVENTS = 900
PER_WINDOW = WINDOW // (2 * SECOND)
BLOCK = "{window: 10m, lateness: 20m, disorder: 1s}"
Event = dict[str, Any]


def baseline_of(model: str, **schema: Any) -> Baseline:
    """Return a baseline quick to fit, of the schema with these changes."""
    return fit(loan_rows(1_000), replace(loan_schema(model), **schema), methods=["cbpe"])


def service_of(
    folder: Path, kafka: KafkaCluster, topics: Mapping[str, str], bases: Sequence[Baseline]
) -> StreamService:
    """Return a running service over topics, each with what the configuration says of it, and over its inbox."""
    names = {topic: kafka.create_topic(f"{topic}-{uuid4().hex[:6]}", partitions=2) for topic in topics}
    service = StreamService(folder, kafka.bootstrap, ", ".join(names.values()), f"default: {BLOCK}")
    told = "".join(f"        {names[topic]}: {said}\n" for topic, said in topics.items())
    service.config.write_text(
        f"store: sqlite:///mlhealth.db\nlisten: {{port: {service.port}}}\ncheckpoint: 500ms\n"
        f"sources:\n  - kafka:\n      bootstrap: '{kafka.bootstrap}'\n      group: {uuid4().hex}\n"
        f"      idle: 5s\n      session: 6s\n      topics: [{service.topic}]\n      models:\n{told}"
        f"  - inbox: {{idle: 5s}}\nmodels:\n  default: {BLOCK}\n"
    )
    service.topic = json.dumps(names)
    with service.database() as database:
        ensure(database)
        with database.begin() as connection:
            for base in bases:
                store.push(connection, base, 0)
                store.activate(connection, base.hash, 0)
    service.start()
    return service


def events_of(seed: int) -> list[Event]:
    """Return events, one every two seconds, without labels."""
    rows = loan_rows(EVENTS, seed).drop_columns(["y_true"]).to_pylist()
    return [{"ts": to_iso(START + 2 * i * SECOND), "event_id": f"e{i}", **row} for i, row in enumerate(rows)]


def send(producer: Any, topic: str, events: Sequence[Event]) -> None:
    """Write events to a topic's two partitions."""
    for i, event in enumerate(events):
        producer.send(topic, value=orjson.dumps(event), partition=i % 2)
    producer.flush(timeout=60)


def finished(service: StreamService, model: str, rows: int) -> list[WindowReport]:
    """Wait until a model's reports hold so many rows, and return them."""

    def found() -> list[WindowReport]:
        return [r for r in service.reports() if r.key.model == model and r.rows]

    wait_until(
        lambda: sum(r.rows for r in found()) >= rows,
        what=f"{rows} rows of {model}; {service.counts()}; {service.process.log_tail()}",
        timeout=120.0,
        interval=0.5,
    )
    return found()


def estimated(folder: Path, base: Baseline, events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return what the command line says of the events in a file."""
    baseline_files.save(base, folder / base.schema.model)
    file = folder / f"{base.schema.model}.parquet"
    pd.DataFrame(list(events)).to_parquet(file)
    printed = mlhealth(
        "estimate", file, "--baseline", folder / base.schema.model, "--window", "10m", "--format", "json"
    )
    return [json.loads(line) for line in printed.splitlines()]


def told(reports: Sequence[WindowReport]) -> list[dict[str, Any]]:
    """Return reports as the command line prints them."""
    found = [
        report_to_dict(r, window=i, start=to_iso(r.key.start), end=to_iso(r.key.end))
        for i, r in enumerate(reports)
    ]
    return [json.loads(json.dumps(report)) for report in found]


def test_sampled_logs_speak_for_their_traffic(kafka: KafkaCluster, producer: Any, tmp_path: Path) -> None:
    """A topic's fraction and events' own go through profiles and estimates into reports, the API and Prometheus."""
    tenth, weighed = baseline_of("tenth"), baseline_of("weighed", sampling_fraction="logged")
    chances = np.random.default_rng(5).choice([1.0, 0.5, 0.1], EVENTS).tolist()
    plain = events_of(3)
    uneven = [{**event, "logged": chance} for event, chance in zip(plain, chances, strict=True)]
    topics = {
        "tenth": "{model: tenth, version: '1', sampling_fraction: 0.1}",
        "weighed": "{model: weighed, version: '1'}",
    }
    service = service_of(tmp_path / "service", kafka, topics, [tenth, weighed])
    try:
        names = json.loads(service.topic)
        send(producer, names["tenth"], plain)
        send(producer, names["weighed"], uneven)
        of_tenth = finished(service, "tenth", EVENTS)
        of_weighed = finished(service, "weighed", EVENTS)
        root = f"http://{LOOPBACK}:{service.port}"
        shown = httpx.get(f"{root}/v1/models/tenth/versions/1/reports/{START}").json()
        metrics = httpx.get(f"{root}/metrics").text.splitlines()
    finally:
        service.process.stop()
    whole = estimated(tmp_path, tenth, plain)
    assert [{**r, "events": None, "effective_rows": None} for r in told(of_tenth)] == [
        {**r, "events": None, "effective_rows": None} for r in whole
    ]
    assert [r["events"] for r in told(of_tenth)] == [10 * PER_WINDOW] * 3
    assert told(of_weighed) == estimated(tmp_path, weighed, uneven)
    for number, report in enumerate(of_weighed):
        mine = chances[number * PER_WINDOW : (number + 1) * PER_WINDOW]
        assert report.volume == pytest.approx(sum(1 / chance for chance in mine))
    assert (shown["rows"], shown["events"]) == (PER_WINDOW, 10 * PER_WINDOW)
    volumes = [m for m in metrics if m.startswith("mlhealth_window_events{") and 'model="tenth"' in m]
    assert [float(line.rpartition(" ")[2]) for line in volumes] == [10.0 * PER_WINDOW]


def test_labels_by_key_and_time_meet_their_events(kafka: KafkaCluster, producer: Any, tmp_path: Path) -> None:
    """Events named by customer and time get their labels over Kafka and over HTTP, each label once."""
    keyed = baseline_of("keyed", id=None, key="customer")
    true = [int(value) for value in loan_rows(EVENTS, 4).column("y_true").to_pylist()]
    events = [{**event, "customer": i % 40} for i, event in enumerate(events_of(4))]
    for event in events:
        del event["event_id"]
    labels = [
        {"customer": str(e["customer"]), "ts": e["ts"], "label": value}
        for e, value in zip(events, true, strict=True)
    ]
    service = service_of(tmp_path / "service", kafka, {"keyed": "{model: keyed, version: '1'}"}, [keyed])
    try:
        topic = json.loads(service.topic)["keyed"]
        send(producer, topic, events)
        finished(service, "keyed", EVENTS)
        head = [*headers("keyed", "1"), (FORMAT_HEADER, LABEL_FORMAT.encode())]
        for label in labels[:PER_WINDOW]:
            producer.send(topic, value=orjson.dumps(label), partition=0, headers=head)
        producer.flush(timeout=60)
        answer = httpx.post(
            f"http://{LOOPBACK}:{service.port}/v1/models/keyed/versions/1/labels",
            content=b"\n".join(map(orjson.dumps, labels[PER_WINDOW : 2 * PER_WINDOW])),
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert (answer.status_code, answer.json()["accepted"]) == (202, PER_WINDOW), answer.text

        def realised() -> list[float]:
            return [r.realized["accuracy"] for r in service.reports() if r.rows and r.realized]

        wait_until(
            lambda: len(realised()) == 2,
            what=f"labels in two reports; {service.counts()}; {service.process.log_tail()}",
            timeout=120.0,
        )
        found = realised()
    finally:
        service.process.stop()
    predicted = [event["y_pred"] for event in events]
    for number, accuracy in enumerate(found):
        part = slice(number * PER_WINDOW, (number + 1) * PER_WINDOW)
        right = [p == t for p, t in zip(predicted[part], true[part], strict=True)]
        assert accuracy == pytest.approx(sum(right) / PER_WINDOW)
