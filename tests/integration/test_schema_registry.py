"""Avro, Protobuf and JSON whose schemas lie in a real registry, over a real broker."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import fastavro
import httpx
import pytest

from mlhealth.clock import SECOND, from_iso
from mlhealth.config.payload import SchemaRegistryConfig
from mlhealth.errors import DataError
from mlhealth.events.formats.base import WriterSchema
from mlhealth.fit import fit
from mlhealth.records import WindowReport
from mlhealth.sources.schema_registry import SchemaRegistry
from mlhealth.store import baselines as store
from mlhealth.store.schema import ensure
from tests.format_writers import framed
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.process import wait_until
from tests.servers.service import StreamService
from tests.servers.stream import loan_events, loan_rows, loan_schema

pytestmark = pytest.mark.timeout(400)
EVENTS = 600
FIELDS: list[dict[str, Any]] = [
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "event_id", "type": ["null", "string"]},
    {"name": "amount", "type": "double"},
    {"name": "region", "type": {"type": "enum", "name": "Region", "symbols": ["eu", "us", "asia"]}},
    {"name": "y_pred", "type": "int"},
    {"name": "y_score", "type": "double"},
]
LATER: dict[str, Any] = {"name": "channel", "type": ["null", "string"], "default": None}
REGIONS = 'syntax = "proto3"; package loans; enum Region { none = 0; eu = 1; us = 2; asia = 3; }'
LOAN = """
    syntax = "proto3";
    package loans;
    import "google/protobuf/timestamp.proto";
    import "regions.proto";
    message Loan {
      google.protobuf.Timestamp ts = 1;
      string event_id = 2;
      double amount = 3;
      Region region = 4;
      int32 y_pred = 5;
      double y_score = 6;
    }
"""
ANYTHING = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
Event = dict[str, Any]


def registered(url: str, subject: str, **schema: object) -> int:
    """Put a schema into the registry; return its number."""
    answer = httpx.post(f"{url}/subjects/{subject}/versions", json=schema, timeout=30.0)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["id"])


def avro_text(*fields: dict[str, Any]) -> str:
    """Return an Avro schema of these fields."""
    return json.dumps({"type": "record", "name": "Loan", "fields": [*FIELDS, *fields]})


def test_schemas_come_with_what_they_refer_to(schema_registry: str) -> None:
    """Each kind is known by its number, imports included; an unknown number is told apart from an absent registry."""
    avro = registered(schema_registry, "a-value", schema=avro_text())
    registered(schema_registry, "regions", schemaType="PROTOBUF", schema=REGIONS)
    needs = [{"name": "regions.proto", "subject": "regions", "version": 1}]
    proto = registered(schema_registry, "p-value", schemaType="PROTOBUF", schema=LOAN, references=needs)
    found = SchemaRegistry(SchemaRegistryConfig(url=schema_registry))
    assert json.loads(found.schema(avro).text) == json.loads(avro_text())
    assert found.schema(avro).kind == "AVRO"
    assert found.schema(proto).kind == "PROTOBUF"
    assert [name for name, _ in found.schema(proto).references] == ["regions.proto"]
    with pytest.raises(DataError, match="knows no schema 99999"):
        found.schema(99_999)


def avro_messages(url: str, events: Sequence[Event]) -> list[bytes]:
    """Return framed records, the second half under a later version of the schema."""
    versions = [avro_text(), avro_text(LATER)]
    numbers = [registered(url, "loans-avro-value", schema=text) for text in versions]
    parsed = [fastavro.parse_schema(json.loads(text)) for text in versions]
    messages = []
    for i, event in enumerate(events):
        later, sink = int(2 * i >= len(events)), io.BytesIO()
        fastavro.schemaless_writer(sink, parsed[later], {**event, "ts": from_iso(event["ts"])})
        messages.append(framed(numbers[later], sink.getvalue()))
    assert numbers[0] != numbers[1]
    return messages


def protobuf_messages(url: str, events: Sequence[Event]) -> list[bytes]:
    """Return framed messages of a schema that imports another."""
    registered(url, "regions", schemaType="PROTOBUF", schema=REGIONS)
    needs = [{"name": "regions.proto", "subject": "regions", "version": 1}]
    number = registered(url, "loans-proto-value", schemaType="PROTOBUF", schema=LOAN, references=needs)
    kind = _loan_message()
    messages = []
    for event in events:
        message = kind(**{name: value for name, value in event.items() if name not in {"ts", "region"}})
        message.region = {"eu": 1, "us": 2, "asia": 3}[event["region"]]
        message.ts.seconds = from_iso(event["ts"]) // SECOND
        messages.append(framed(number, b"\0" + message.SerializeToString()))
    return messages


def _loan_message() -> Any:
    from mlhealth.events.formats.protobuf import _class_at, _compiled

    return _class_at(_compiled(WriterSchema("PROTOBUF", LOAN, (("regions.proto", REGIONS),))), (0,))


def test_three_kinds_of_messages_give_the_reports_of_plain_json(
    kafka: KafkaCluster, producer: Any, schema_registry: str, tmp_path: Path
) -> None:
    """The same events as Avro of two schema versions, Protobuf with an import, framed JSON and plain JSON agree."""
    events: list[Event] = [json.loads(event) for event in loan_events(EVENTS)]
    number = registered(schema_registry, "loans-json-value", schemaType="JSON", schema=json.dumps(ANYTHING))
    plain = [json.dumps(event).encode() for event in events]
    sent = {
        "json": plain,
        "framed": [framed(number, value) for value in plain],
        "avro": avro_messages(schema_registry, events),
        "protobuf": protobuf_messages(schema_registry, events),
    }
    service = service_of(tmp_path, kafka, schema_registry, list(sent))
    service.start()
    try:
        for kind, values in sent.items():
            for value in values:
                producer.send(f"{service.topic}-{kind}", value=value)
        producer.flush(timeout=60)
        wait_until(
            lambda: service.rows() >= EVENTS * len(sent),
            what=f"all rows; {service.counts()}; {service.process.log_tail()}",
            timeout=200.0,
            interval=0.5,
        )
    finally:
        service.process.stop()
    assert {outcome: n for outcome, n in service.counts().items() if n} == {"accepted": EVENTS * len(sent)}
    expected = reports_of(service, "json")
    assert len(expected) == 2
    for kind in sent:
        assert reports_of(service, kind) == expected, kind


def service_of(folder: Path, kafka: KafkaCluster, registry: str, kinds: Sequence[str]) -> StreamService:
    """Return a service that reads a topic of each kind, not started."""
    run = f"registry-{uuid4().hex[:6]}"
    topics = [kafka.create_topic(f"{run}-{kind}") for kind in kinds]
    formats = {"framed": "avro"}
    models = "".join(
        f"        {run}-{kind}: {{model: {kind}, version: '1', format: {formats.get(kind, kind)}}}\n"
        for kind in kinds
    )
    service = StreamService(folder, kafka.bootstrap, run, "default: {window: 10m}")
    service.config.write_text(
        f"store: sqlite:///mlhealth.db\nlisten: {{port: {service.port}}}\ncheckpoint: 500ms\n"
        f"schema_registry: {{url: '{registry}'}}\n"
        f"sources:\n  - kafka:\n      bootstrap: '{kafka.bootstrap}'\n      group: {run}\n      idle: 5s\n"
        f"      session: 6s\n      topics: [{', '.join(topics)}]\n      models:\n{models}"
        "models:\n  default: {window: 10m, lateness: 10m, disorder: 1s}\n"
    )
    with service.database() as database:
        ensure(database)
        with database.begin() as connection:
            for kind in kinds:
                base = fit(loan_rows(1_000), replace(loan_schema(kind), model=kind), methods=["cbpe"])
                store.push(connection, base, 0)
                store.activate(connection, base.hash, 0)
    return service


def reports_of(service: StreamService, model: str) -> list[tuple[object, ...]]:
    """Return what a model's reports say."""
    found: list[WindowReport] = [r for r in service.reports() if r.key.model == model and r.rows]
    return [(r.key.start, r.rows, r.estimates, r.health, r.drift, r.quality) for r in found]
