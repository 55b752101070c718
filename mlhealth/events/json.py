"""JSON and NDJSON message values → canonical batches: parsed in bulk, message by message only where that fails.

The bulk path joins all values and parses them once into typed Arrow columns. If that fails, or rows out do not equal
messages in, each message is parsed by itself, so that one bad message costs one bad message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.json as arrow_json
from numpy.typing import NDArray

from mlhealth.events.batch import EventBatch
from mlhealth.events.messages import Messages
from mlhealth.events.normalise import ID_FIELD, Origin, normalise
from mlhealth.events.values import column_of, columns_of_numbers
from mlhealth.records import Rejection
from mlhealth.schema.model_schema import ModelSchema, Storage

_OPENS, _CLOSES = b"{}"
_STORED = {
    Storage.FLOAT: pa.float64(),
    Storage.INTEGER: pa.float64(),
    Storage.STRING: pa.string(),
    Storage.BOOLEAN: pa.bool_(),
}


@dataclass(frozen=True)
class Decoded:
    """The usable events, which message each came from (position, shape (batch.rows,)), and the rejected ones."""

    batch: EventBatch
    message: NDArray[np.int32]
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True)
class _Parsed:
    """A table in the user's columns; message and row within it of each of its rows; values that were no object."""

    table: pa.Table
    message: NDArray[np.int32]
    row: NDArray[np.int64]
    faults: tuple[tuple[int, int, str], ...] = ()


def decode(messages: Messages, schema: ModelSchema, *, labels: bool | None = False) -> Decoded:
    """Return the events in `messages`, which all belong to the model version of `schema`.

    A message holds one JSON object or several, newline-separated. Where the schema names no timestamp, an event's
    time is its message's. `labels`: see `normalise`.
    """
    wanted = fields_read(schema, labels=labels is not False)
    parsed = _bulk(messages, schema, wanted) or _one_by_one(messages.values, schema, wanted)
    return _decoded(parsed, messages, schema, labels=labels)


def decode_alike(messages: Messages, schema: ModelSchema) -> Decoded | None:
    """Return the events where all are objects with the types that the schema wants; None where any is not."""
    parsed = _bulk(messages, schema, fields_read(schema, labels=False))
    found = None if parsed is None else _decoded(parsed, messages, schema, labels=False)
    return None if found is None or found.rejections else found


def _decoded(parsed: _Parsed, messages: Messages, schema: ModelSchema, *, labels: bool | None) -> Decoded:
    origin = _origin(messages, parsed.message, parsed.row)
    times = messages.timestamps[parsed.message]
    found = normalise(parsed.table, schema, origin, default_time=times, labels=labels)
    faults = tuple(_rejection(messages, *fault) for fault in parsed.faults)
    return Decoded(found.batch, parsed.message[found.kept], (*faults, *found.rejections))


def check(value: bytes) -> tuple[int, list[tuple[int, str]]]:
    """Return how many events a message holds, and the number and reason of those that are no JSON object."""
    events = _events(value)
    return len(events), [(row, event) for row, event in enumerate(events) if isinstance(event, str)]


def _origin(messages: Messages, message: NDArray[np.int32], row: NDArray[np.int64]) -> Origin:
    places = tuple((p.topic, p.number) for p in messages.partitions)
    return Origin(places, messages.index[message], messages.offsets[message], row)


def _rejection(messages: Messages, message: int, row: int, reason: str) -> Rejection:
    partition = messages.partitions[messages.index[message]]
    return Rejection(partition.topic, partition.number, int(messages.offsets[message]), row, reason)


def _bulk(messages: Messages, schema: ModelSchema, wanted: Sequence[str]) -> _Parsed | None:
    """Parse all values at once; None where anything about them is not as expected."""
    if not messages.values:
        return None
    return _one_per_message(messages, schema, wanted) or _many_per_message(messages.values, schema, wanted)


def _one_per_message(messages: Messages, schema: ModelSchema, wanted: Sequence[str]) -> _Parsed | None:
    """Parse values that hold one object each.

    A value that starts and ends as an object and parses holds at least one, since no JSON goes on with a brace after a
    closed one. So where there are as many rows as values, each value is one row.
    """
    joined = b"\n".join(messages.values)
    if b"\n" in messages.values[0] or not _are_objects(joined, messages.sizes):
        return None
    table = _table(joined, messages.values[0], schema, wanted)
    if table is None or table.num_rows != len(messages):
        return None
    return _Parsed(table, *_positions(np.ones(len(messages), dtype=np.int64)))


def _are_objects(joined: bytes, sizes: NDArray[np.int64]) -> bool:
    """Whether every value, all of them joined by line ends, starts and ends as an object."""
    if joined[:1] != b"{":
        return False
    text, last = np.frombuffer(joined, dtype=np.uint8), np.cumsum(sizes + 1) - 2
    return bool((text[last] == _CLOSES).all() and (text[last[:-1] + 2] == _OPENS).all())


def _many_per_message(values: Sequence[bytes], schema: ModelSchema, wanted: Sequence[str]) -> _Parsed | None:
    """Parse values of one object or several, one per line; lines cannot run into each other unnoticed."""
    values = [value.strip() for value in values]
    joined = b"\n".join(values).replace(b"\r\n", b"\n")
    lines = joined.count(b"\n") + 1
    if not joined.startswith(b"{") or not joined.endswith(b"}") or joined.count(b"}\n{") != lines - 1:
        return None
    table = _table(joined, joined[: joined.find(b"\n")] if lines > 1 else joined, schema, wanted)
    if table is None or table.num_rows != lines:
        return None
    return _Parsed(table, *_positions(np.array([value.count(b"\n") + 1 for value in values], dtype=np.int64)))


def _table(joined: bytes, first: bytes, schema: ModelSchema, wanted: Sequence[str]) -> pa.Table | None:
    """Return the objects in lines of JSON, of which `first` is one, in the types that the schema wants."""
    fields = typed_fields(first, schema, wanted)
    if fields is None or not _is_text(joined):
        return None
    try:
        table = arrow_json.read_json(
            pa.BufferReader(pa.py_buffer(joined)),
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(joined) + 1),
            parse_options=arrow_json.ParseOptions(explicit_schema=fields, unexpected_field_behavior="ignore"),
        )
    except (pa.ArrowException, OverflowError):
        return None
    own = {*schema.feature_names, *schema.scores, schema.prediction}
    return table.select([n for n in fields.names if n in own or table.column(n).null_count < table.num_rows])


def _is_text(joined: bytes) -> bool:
    """Whether bytes are UTF-8, which Arrow's parser takes for granted."""
    if joined.isascii():
        return True
    ends = pa.py_buffer(np.array([0, len(joined)], dtype=np.int64))
    try:
        pa.LargeStringArray.from_buffers(1, ends, pa.py_buffer(joined)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _positions(counts: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    message = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    first = np.cumsum(counts) - counts
    return message, np.arange(len(message), dtype=np.int64) - first[message]


def typed_fields(first: bytes, schema: ModelSchema, wanted: Sequence[str]) -> pa.Schema | None:
    """Return the types to parse into: the model's own, and those of the first event for id, time and the rest.

    What the first event lacks is taken for text; where a later event has it as another type, the bulk path gives up.
    Fields are in the order of the first event's, which Arrow finds without looking them up.
    """
    try:
        event = orjson.loads(first)
    except orjson.JSONDecodeError:
        return None
    types = {feature.name: _STORED[feature.storage] for feature in schema.features}
    types |= {score: pa.float64() for score in schema.scores}
    types[schema.prediction] = _STORED[schema.prediction_storage]
    for name in wanted:
        if name not in types:
            types[name] = _type_of(event.get(name))
    ordered = dict.fromkeys([*(name for name in event if name in types), *types])
    return pa.schema([pa.field(name, types[name]) for name in ordered])


def _type_of(value: object) -> pa.DataType:
    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, int):
        return pa.int64()
    return pa.float64() if isinstance(value, float) else pa.string()


def _one_by_one(values: Sequence[bytes], schema: ModelSchema, wanted: Sequence[str]) -> _Parsed:
    events: list[Mapping[str, Any]] = []
    places: list[tuple[int, int]] = []
    faults: list[tuple[int, int, str]] = []
    for i, value in enumerate(values):
        for j, event in enumerate(_events(value)):
            fault = event if isinstance(event, str) else _nested(event, wanted)
            if fault is not None:
                faults.append((i, j, fault))
            elif not isinstance(event, str):
                events.append(event)
                places.append((i, j))
    numbers = columns_of_numbers(schema)
    columns = {
        name: column_of([event.get(name) for event in events], number=name in numbers)
        for name in wanted
        if name == schema.prediction or any(name in event for event in events)
    }
    at = np.array(places, dtype=np.int64).reshape(-1, 2)
    return _Parsed(pa.table(columns), at[:, 0].astype(np.int32), at[:, 1], tuple(faults))


def fields_read(schema: ModelSchema, *, labels: bool) -> list[str]:
    """Return the fields to read from an event: each that may be missing costs a little in every event."""
    label = (schema.label,) if labels and schema.label is not None else ()
    identity = (ID_FIELD,) if schema.id is None else ()
    return list(dict.fromkeys([*schema.columns, *label, *identity]))


def _nested(event: Mapping[str, Any], wanted: Sequence[str]) -> str | None:
    odd = [name for name in wanted if isinstance(event.get(name), dict | list)]
    return f"{odd[0]}: a single value is needed" if odd else None


def _events(value: bytes) -> list[Mapping[str, Any] | str]:
    """Return the objects of one message; a text says what was wrong instead of one."""
    if not value.strip():
        return ["the message is empty"]
    whole = _loads(value)
    if not isinstance(whole, str):
        return [whole]
    lines = [line for line in value.split(b"\n") if line.strip()]
    return [whole] if len(lines) == 1 else [_loads(line) for line in lines]


def _loads(text: bytes) -> Mapping[str, Any] | str:
    try:
        event = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            return "not valid JSON"
    return event if isinstance(event, dict) else "not a JSON object"
