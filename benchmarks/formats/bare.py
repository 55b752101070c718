"""Each format by its library alone: parsed until every value is a Python object or part of an Arrow column."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import fastavro
import orjson
import pyarrow as pa
import pyarrow.json as arrow_json

from mlhealth.events.envelope import Half, unpacked_pair
from mlhealth.events.v2_protobuf import message_type
from tests.format_writers import LOANS, _inference_message

Values = Sequence[bytes]
_CONTENTS = {"FP64": "fp64_contents", "INT64": "int64_contents", "BYTES": "bytes_contents"}


def bare(name: str, values: Values) -> Callable[[], object]:
    """Return the library's own parse of the messages."""
    return _PREPARED[name](values) if name in _PREPARED else partial(_PARSED.get(name, _objects), values)


def _objects(values: Values) -> object:
    return [orjson.loads(value) for value in values]


def _json(values: Values) -> object:
    options = arrow_json.ReadOptions(use_threads=False, block_size=1 << 28)
    return arrow_json.read_json(pa.BufferReader(pa.py_buffer(b"\n".join(values))), options)


def _arrow(values: Values) -> object:
    """Read and check; a number is only there once its column is an array without nulls."""
    tables = [pa.ipc.open_stream(value).read_all() for value in values]
    for table in tables:
        table.validate(full=True)
    return [
        column.to_numpy() if pa.types.is_floating(column.type) else column
        for t in tables
        for column in t.columns
    ]


def _databricks(values: Values) -> object:
    rows = [orjson.loads(value) for value in values]
    return [(orjson.loads(row["request"]), orjson.loads(row["response"])) for row in rows]


def _sagemaker(values: Values) -> object:
    captured = [orjson.loads(value)["captureData"] for value in values]
    return [
        [list(csv.reader([_text(one[part])])) for part in ("endpointInput", "endpointOutput")]
        for one in captured
    ]


def _text(part: dict[str, str]) -> str:
    return base64.b64decode(part["data"]).decode() if part["encoding"] == "BASE64" else part["data"]


def _avro(values: Values) -> Callable[[], object]:
    schema = fastavro.parse_schema(json.loads(LOANS.avro()))
    return lambda: [fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None) for value in values]


def _protobuf(values: Values) -> Callable[[], object]:
    kind = _inference_message(LOANS.proto())
    names = [field.name for field in kind.DESCRIPTOR.fields]
    return lambda: [
        [getattr(message, name) for name in names]
        for message in (kind.FromString(value[7:]) for value in values)
    ]


def _kserve(values: Values) -> Callable[[], object]:
    pairs = [unpacked_pair(value) for value in values]
    return lambda: [(orjson.loads(p.request.data), orjson.loads(p.response.data)) for p in pairs]


def _seldon(values: Values) -> Callable[[], object]:
    pairs = [unpacked_pair(value) for value in values]
    request, response = message_type("ModelInferRequest"), message_type("ModelInferResponse")
    return lambda: [
        (_tensors(request, p.request, "input"), _tensors(response, p.response, "output")) for p in pairs
    ]


def _tensors(kind: Any, half: Half, part: str) -> object:
    message = kind.FromString(half.data)
    raw = list(getattr(message, f"raw_{part}_contents"))
    return raw, [
        (t.name, t.datatype, list(t.shape), list(getattr(t.contents, _CONTENTS[t.datatype])))
        for t in getattr(message, f"{part}s")
    ]


_PARSED: dict[str, Callable[[Values], object]] = {
    "json": _json,
    "arrow": _arrow,
    "databricks": _databricks,
    "sagemaker": _sagemaker,
}
_PREPARED: dict[str, Callable[[Values], Callable[[], object]]] = {
    "avro": _avro,
    "protobuf": _protobuf,
    "kserve": _kserve,
    "seldon": _seldon,
}
