"""The same events as each serving system would log them, written from the systems' own specifications.

`WRITERS` has one writer per format: events (dicts in the columns of `tests.strategies.SCHEMA`) in, messages out. They
share nothing with the readers.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import fastavro
import pyarrow as pa

from mlhealth.config.payload import PayloadConfig
from mlhealth.errors import DataError
from mlhealth.events.formats.base import Reading, WriterSchema, format_of
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages
from mlhealth.events.pairing import Pairing
from mlhealth.events.v2_protobuf import message_type
from mlhealth.schema.model_schema import ModelSchema
from tests.strategies import SCHEMA

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """A model and its features, each with V2's word for its type."""

    model: str
    features: Mapping[str, str]

    def avro(self) -> str:
        """Return the Avro schema of its events."""
        kinds = {"FP64": "double", "INT64": "long", "BYTES": "string"}
        fields: list[dict[str, Any]] = [
            {"name": "ts", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
            {"name": "event_id", "type": ["null", "string"]},
            *({"name": name, "type": ["null", kinds[kind]]} for name, kind in self.features.items()),
            {"name": "y_pred", "type": "int"},
            {"name": "y_score", "type": "double"},
        ]
        return json.dumps({"type": "record", "name": "Inference", "fields": fields})

    def proto(self) -> str:
        """Return the Protobuf schema of its events; the message type is the second."""
        kinds = {"FP64": "double", "INT64": "int64", "BYTES": "string"}
        features = [
            f"optional {kinds[kind]} {name} = {number};"
            for number, (name, kind) in enumerate(self.features.items(), start=10)
        ]
        return """
            syntax = "proto3";
            package loans;
            import "google/protobuf/timestamp.proto";
            message Envelope {{ string note = 1; }}
            message Inference {{
              google.protobuf.Timestamp ts = 1;
              optional string event_id = 2;
              int32 y_pred = 3;
              double y_score = 4;
              {}
            }}
        """.format("\n".join(features))


LOANS = Shape("loans", {"income": "FP64", "region": "BYTES", "owner": "INT64"})
AVRO, PROTOBUF, JSON_SCHEMA = 7, 8, 9
"""Numbers of the schemas in `Registry`."""


class Registry:
    """A schema registry that holds three schemas of one shape."""

    def __init__(self, shape: Shape = LOANS) -> None:
        self._shape = shape

    def schema(self, number: int) -> WriterSchema:
        """Return one of them."""
        known = {
            AVRO: WriterSchema("AVRO", self._shape.avro()),
            PROTOBUF: WriterSchema("PROTOBUF", self._shape.proto()),
            JSON_SCHEMA: WriterSchema("JSON", '{"type": "object"}'),
        }
        if number not in known:
            raise DataError(f"the schema registry knows no schema {number}")
        return known[number]


def reading(name: str, shape: Shape = LOANS, schema: ModelSchema = SCHEMA) -> Reading:
    """Return how a writer's messages are to be read."""
    payload = PayloadConfig()
    if name == "sagemaker":
        payload = PayloadConfig(features=tuple(shape.features), answers=("y_pred", "y_score"))
    return Reading(schema, payload, Registry(shape))


def decoded(name: str, messages: Messages, shape: Shape = LOANS, schema: ModelSchema = SCHEMA) -> Decoded:
    """Decode messages, halves brought together first."""
    found = format_of(name)
    if found.is_paired:
        messages = Pairing().add("loans", "1", name, messages).messages(messages)
    return found.decode(messages, reading(name, shape, schema))


def iso(event: Event) -> str:
    """Return an event's time as ISO 8601 with microseconds."""
    moment = (
        event["ts"] if isinstance(event["ts"], datetime) else datetime.fromtimestamp(event["ts"] / 1e6, UTC)
    )
    return moment.isoformat()


def micros(event: Event) -> int:
    """Return an event's time in microseconds."""
    return event["ts"] if isinstance(event["ts"], int) else round(event["ts"].timestamp() * 1e6)


def v2_request(event: Event, shape: Shape) -> dict[str, Any]:
    """Return a V2 request with one tensor per feature."""
    inputs = [
        {"name": name, "shape": [1], "datatype": kind, "data": [event[name]]}
        for name, kind in shape.features.items()
    ]
    return {"id": event["event_id"], "inputs": inputs}


def v2_response(event: Event, shape: Shape) -> dict[str, Any]:
    """Return a V2 response with the class and its probability."""
    return {
        "model_name": shape.model,
        "id": event["event_id"],
        "outputs": [
            {"name": "y_pred", "shape": [1], "datatype": "INT64", "data": [event["y_pred"]]},
            {"name": "probability", "shape": [1, 2], "datatype": "FP64", "data": _both(event)},
        ],
    }


def _both(event: Event) -> list[float]:
    return [1 - event["y_score"], event["y_score"]]


def _features(event: Event, shape: Shape) -> list[Any]:
    return [event[name] for name in shape.features]


def native(events: Sequence[Event], shape: Shape = LOANS) -> list[bytes]:
    """Return flat JSON objects."""
    return [json.dumps({**event, "ts": iso(event)}).encode() for event in events]


def arrow(events: Sequence[Event], shape: Shape = LOANS) -> list[bytes]:
    """Return all events as one stream."""
    sink = io.BytesIO()
    table = pa.Table.from_pylist([{**event, "ts": micros(event)} for event in events])
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return [sink.getvalue()]


def inference(events: Sequence[Event], shape: Shape = LOANS) -> list[bytes]:
    """V1 instances as objects, and V2 tensors, by turns."""
    messages = []
    for i, event in enumerate(events):
        if i % 2:
            request: object = v2_request(event, shape)
            response: object = v2_response(event, shape)
        else:
            request = {"instances": [{name: event[name] for name in shape.features}]}
            response = {"predictions": [{"y_pred": event["y_pred"], "y_score": event["y_score"]}]}
        found = {"id": event["event_id"], "time": iso(event), "request": request, "response": response}
        messages.append(json.dumps(found).encode())
    return messages


def cloud_event(event: Event, shape: Shape, kind: str, data: object) -> dict[str, Any]:
    """Return KServe's event in structured mode."""
    return {
        "specversion": "1.0",
        "id": event["event_id"],
        "source": "http://localhost:9081/",
        "type": f"org.kubeflow.serving.inference.{kind}",
        "time": iso(event),
        "datacontenttype": "application/json",
        "inferenceservicename": shape.model,
        "namespace": "default",
        "component": "predictor",
        "endpoint": "",
        "data": data,
    }


def kserve(events: Sequence[Event], shape: Shape = LOANS) -> list[bytes]:
    """Return two CloudEvents per inference."""
    halves = []
    for event in events:
        halves.append(cloud_event(event, shape, "request", v2_request(event, shape)))
        halves.append(cloud_event(event, shape, "response", v2_response(event, shape)))
    return [json.dumps(half).encode() for half in halves]


def v2_protobuf_request(event: Event, shape: Shape, *, raw: bool = False) -> bytes:
    """Return a V2 request as Protobuf, its contents typed or raw."""
    message = message_type("ModelInferRequest")(model_name=shape.model, id=str(event["event_id"]))
    for name, kind in shape.features.items():
        tensor = message.inputs.add(name=name, datatype=kind, shape=[1])
        if raw:
            message.raw_input_contents.append(_raw(kind, event[name]))
        elif kind == "BYTES":
            tensor.contents.bytes_contents.append(str(event[name]).encode())
        elif kind == "INT64":
            tensor.contents.int64_contents.append(event[name])
        else:
            tensor.contents.fp64_contents.append(event[name])
    return bytes(message.SerializeToString())


def v2_protobuf_response(event: Event, shape: Shape) -> bytes:
    """Return a V2 response as Protobuf."""
    message = message_type("ModelInferResponse")(model_name=shape.model, id=str(event["event_id"]))
    message.outputs.add(name="y_pred", datatype="INT64", shape=[1]).contents.int64_contents.append(
        event["y_pred"]
    )
    message.outputs.add(name="p", datatype="FP64", shape=[1, 2]).contents.fp64_contents.extend(_both(event))
    return bytes(message.SerializeToString())


def _raw(kind: str, value: Any) -> bytes:
    if kind == "BYTES":
        text: bytes = value.encode()
        return struct.pack("<I", len(text)) + text
    return struct.pack("<q" if kind == "INT64" else "<d", value)


def seldon(events: Sequence[Event], shape: Shape = LOANS) -> list[bytes]:
    """Requests and responses as the Kafka source frames them: the message key is the id."""
    messages = []
    for i, event in enumerate(events):
        for kind, data in (
            ("request", v2_protobuf_request(event, shape, raw=bool(i % 2))),
            ("response", v2_protobuf_response(event, shape)),
        ):
            head = json.dumps([event["event_id"], kind, iso(event), "application/x-protobuf", shape.model])
            messages.append(b"CE1 " + head.encode() + b"\n" + data)
    return messages


def bentoml(events: Sequence[Event], shape: Shape = LOANS) -> list[bytes]:
    """Return lines of a monitor's data log."""
    return [
        json.dumps(
            {
                **{name: event[name] for name in shape.features},
                "y_pred": event["y_pred"],
                "y_score": event["y_score"],
                "timestamp": iso(event),
                "request_id": event["event_id"],
            }
        ).encode()
        for event in events
    ]


def databricks(events: Sequence[Event], shape: Shape = LOANS) -> list[bytes]:
    """Return rows of an inference table, their requests in two forms by turns."""
    messages = []
    for i, event in enumerate(events):
        names = list(shape.features)
        split = {"dataframe_split": {"columns": names, "data": [_features(event, shape)]}}
        records = {"dataframe_records": [{name: event[name] for name in names}]}
        answer = {"predictions": [{"y_pred": event["y_pred"], "y_score": event["y_score"]}]}
        row = {
            "databricks_request_id": f"db-{i}",
            "client_request_id": event["event_id"],
            "date": "2026-01-01",
            "request_time": iso(event),
            "status_code": 200,
            "sampling_fraction": 1.0,
            "execution_time_ms": 3,
            "request": json.dumps(split if i % 2 else records),
            "response": json.dumps(answer),
        }
        messages.append(json.dumps(row).encode())
    return messages


def sagemaker(events: Sequence[Event], shape: Shape = LOANS) -> list[bytes]:
    """Return capture records, their inputs as CSV and as base64 by turns."""
    messages = []
    for i, event in enumerate(events):
        sink = io.StringIO()
        csv.writer(sink, lineterminator="\n").writerow(_features(event, shape))
        data, encoding = sink.getvalue(), "CSV"
        if i % 2:
            data, encoding = base64.b64encode(data.encode()).decode(), "BASE64"
        record = {
            "captureData": {
                "endpointInput": {
                    "observedContentType": "text/csv",
                    "mode": "INPUT",
                    "data": data,
                    "encoding": encoding,
                },
                "endpointOutput": {
                    "observedContentType": "text/csv; charset=utf-8",
                    "mode": "OUTPUT",
                    "data": f"{event['y_pred']},{event['y_score']!r}\n",
                    "encoding": "CSV",
                },
            },
            "eventMetadata": {
                "eventId": f"aws-{i}",
                "inferenceId": event["event_id"],
                "inferenceTime": iso(event),
            },
            "eventVersion": "0",
        }
        messages.append(json.dumps(record).encode())
    return messages


def framed(number: int, data: bytes) -> bytes:
    """Return data as Confluent's serializers frame it."""
    return b"\0" + number.to_bytes(4, "big") + data


def avro(events: Sequence[Event], shape: Shape = LOANS) -> list[bytes]:
    """Return framed Avro records."""
    parsed = fastavro.parse_schema(json.loads(shape.avro()))
    messages = []
    for event in events:
        sink = io.BytesIO()
        fastavro.schemaless_writer(sink, parsed, {**event, "ts": micros(event)})
        messages.append(framed(AVRO, sink.getvalue()))
    return messages


@cache
def _inference_message(proto: str) -> Any:
    from mlhealth.events.formats.protobuf import _class_at, _compiled

    return _class_at(_compiled(WriterSchema("PROTOBUF", proto)), (1,))


def protobuf(events: Sequence[Event], shape: Shape = LOANS) -> list[bytes]:
    """The message type is the schema's second: its path is [1], written as 2, 2."""
    messages = []
    for event in events:
        message = _inference_message(shape.proto())()
        seconds, rest = divmod(micros(event), 1_000_000)
        message.ts.seconds, message.ts.nanos = seconds, rest * 1_000
        for name in ("event_id", *shape.features, "y_pred", "y_score"):
            if event[name] is not None:
                setattr(message, name, event[name])
        messages.append(framed(PROTOBUF, b"\x02\x02" + message.SerializeToString()))
    return messages


WRITERS: dict[str, Callable[[Sequence[Event], Shape], list[bytes]]] = {
    "json": native,
    "arrow": arrow,
    "inference": inference,
    "kserve": kserve,
    "seldon": seldon,
    "bentoml": bentoml,
    "databricks": databricks,
    "sagemaker": sagemaker,
    "avro": avro,
    "protobuf": protobuf,
}
