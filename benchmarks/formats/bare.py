"""Each format by its library alone: parsed until every value of every record is a Python object or in an Arrow column.

All values of all messages are held at the end, as a batch holds them. No value is checked or renamed, and texts that
hold numbers (CSV) are turned into numbers.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import fastavro
import orjson
import pyarrow as pa
import pyarrow.json as arrow_json

from mlhealth.events.envelope import unpacked_pair
from mlhealth.events.v2_protobuf import message_type
from tests.format_writers import Shape, _inference_message

Values = Sequence[bytes]
Parse = Callable[[], object]
_CONTENTS = {"FP64": "fp64_contents", "INT64": "int64_contents", "BYTES": "bytes_contents"}


def bare(name: str, values: Values, shape: Shape) -> Parse:
    """Return the library's own parse of the messages."""
    return _PARSES[name](values, shape)


def _json(values: Values, _: Shape) -> Parse:
    options = arrow_json.ReadOptions(use_threads=False, block_size=1 << 28)
    return lambda: arrow_json.read_json(pa.BufferReader(pa.py_buffer(b"\n".join(values))), options)


def _arrow(values: Values, _: Shape) -> Parse:
    """Read and check; a number is only there once its column is an array without nulls."""

    def parse() -> object:
        tables = [pa.ipc.open_stream(value).read_all() for value in values]
        for table in tables:
            table.validate(full=True)
        return [
            column.to_numpy() if pa.types.is_floating(column.type) else column
            for t in tables
            for column in t.columns
        ]

    return parse


def _inference(values: Values, _: Shape) -> Parse:
    return lambda: [orjson.loads(value) for value in values]


def _databricks(values: Values, _: Shape) -> Parse:
    def parse() -> object:
        rows = [orjson.loads(value) for value in values]
        return [(row, orjson.loads(row["request"]), orjson.loads(row["response"])) for row in rows]

    return parse


def _sagemaker(values: Values, shape: Shape) -> Parse:
    numbers = [kind != "BYTES" for kind in shape.features.values()]

    def parse() -> object:
        return [_captured(orjson.loads(value), numbers) for value in values]

    return parse


def _captured(record: dict[str, Any], numbers: Sequence[bool]) -> object:
    captured = record["captureData"]
    asked = next(csv.reader([_text(captured["endpointInput"])]))
    told = next(csv.reader([_text(captured["endpointOutput"])]))
    given = [float(cell) if number else cell for cell, number in zip(asked, numbers, strict=True)]
    return record["eventMetadata"], given, [float(cell) for cell in told]


def _text(part: dict[str, str]) -> str:
    return base64.b64decode(part["data"]).decode() if part["encoding"] == "BASE64" else part["data"]


def _avro(values: Values, shape: Shape) -> Parse:
    schema = fastavro.parse_schema(json.loads(shape.avro()))
    return lambda: [fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None) for value in values]


def _protobuf(values: Values, shape: Shape) -> Parse:
    kind = _inference_message(shape.proto())
    names = [field.name for field in kind.DESCRIPTOR.fields]

    def parse() -> object:
        messages = [kind.FromString(value[7:]) for value in values]
        return [[getattr(message, name) for name in names] for message in messages]

    return parse


def _kserve(values: Values, _: Shape) -> Parse:
    pairs = [unpacked_pair(value) for value in values]
    return lambda: [(orjson.loads(p.request.data), orjson.loads(p.response.data)) for p in pairs]


def _seldon(values: Values, _: Shape) -> Parse:
    pairs = [unpacked_pair(value) for value in values]
    request, response = message_type("ModelInferRequest"), message_type("ModelInferResponse")
    return lambda: [
        (
            _tensors(request.FromString(p.request.data), "input"),
            _tensors(response.FromString(p.response.data), "output"),
        )
        for p in pairs
    ]


def _tensors(message: Any, part: str) -> object:
    raw = list(getattr(message, f"raw_{part}_contents"))
    return raw, [
        (t.name, t.datatype, list(t.shape), list(getattr(t.contents, _CONTENTS[t.datatype])))
        for t in getattr(message, f"{part}s")
    ]


_PARSES: dict[str, Callable[[Values, Shape], Parse]] = {
    "json": _json,
    "arrow": _arrow,
    "inference": _inference,
    "kserve": _kserve,
    "seldon": _seldon,
    "bentoml": _json,
    "databricks": _databricks,
    "sagemaker": _sagemaker,
    "avro": _avro,
    "protobuf": _protobuf,
}
