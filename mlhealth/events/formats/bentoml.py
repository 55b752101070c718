"""BentoML's monitoring log: JSON lines of what its monitor was given, with `timestamp` and `request_id`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from mlhealth.events import json
from mlhealth.events.batch import EventBatch
from mlhealth.events.formats.base import Format, Reading
from mlhealth.events.formats.tables import Fault, Records, decoded, empty, places_of, wanted
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages
from mlhealth.schema.model_schema import canonical_text

_ID, _TIME = "request_id", "timestamp"


class BentomlFormat(Format):
    """See the module. Fields are columns, after the renames of `payload.inputs` and `payload.outputs`."""

    name = "bentoml"

    def decode(self, messages: Messages, reading: Reading) -> Decoded:
        return _alike(messages, reading) or _one_by_one(messages, reading)


def _alike(messages: Messages, reading: Reading) -> Decoded | None:
    """Return the events where they can be read as native ones with a time and an id of other names, else None."""
    schema, payload = reading.schema, reading.payload
    if payload.renames or schema.timestamp is None or schema.key is not None:
        return None
    found = json.decode_alike(
        messages, replace(schema, id=payload.id or _ID, timestamp=payload.time or _TIME)
    )
    return None if found is None else replace(found, batch=EventBatch(schema, found.batch.table))


def _one_by_one(messages: Messages, reading: Reading) -> Decoded:
    lines = [value.strip().split(b"\n") if value.strip() else [b""] for value in messages.values]
    message, row = places_of([len(found) for found in lines], range(len(lines)))
    records, faults = _parsed(list(chain.from_iterable(lines)), message, row)
    usable = np.array([record is not None for record in records], dtype=np.bool_)
    kept = [record for record in records if record is not None]
    if not kept:
        return empty(messages, reading.schema, faults)
    found = _records(kept, reading)
    return decoded(
        messages,
        reading.schema,
        replace(found, message=message[usable], row=row[usable], faults=faults),
    )


def _parsed(
    lines: Sequence[bytes], message: NDArray[np.int32], row: NDArray[np.int64]
) -> tuple[list[dict[str, Any] | None], list[Fault]]:
    """Return each line's object, None where it is none, and what was wrong with those."""
    try:
        records = orjson.loads(b"[" + b",".join(lines) + b"]")
        if len(records) != len(lines):
            raise ValueError
    except ValueError:
        records = [_loads(line) for line in lines]
    faults = [
        (int(message[i]), int(row[i]), "not a JSON object")
        for i, record in enumerate(records)
        if not isinstance(record, dict)
    ]
    return [record if isinstance(record, dict) else None for record in records], faults


def _loads(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def _records(kept: Sequence[dict[str, Any]], reading: Reading) -> Records:
    payload, schema = reading.payload, reading.schema
    fields = {column: field for field, column in payload.renames.items()}
    identity, moment = payload.id or _ID, payload.time or _TIME
    names = sorted(wanted(reading.schema) - {schema.id, schema.timestamp})
    values = {name: _column(kept, fields.get(name, name)) for name in names}
    times = [_plain(record.get(moment)) for record in kept]
    ids = [None if (found := record.get(identity)) is None else canonical_text(found) for record in kept]
    none = np.zeros(0, dtype=np.int64)
    found = {name: column for name, column in values.items() if any(v is not None for v in column)}
    return Records(found, none.astype(np.int32), none, (), times, ids)


def _column(kept: Sequence[dict[str, Any]], field: str) -> list[Any]:
    """Return a field of all records; a list or object, which is no single value, makes the text of a wrong type."""
    values = [record.get(field) for record in kept]
    if any(isinstance(value, dict | list) for value in values):
        return ["?" if isinstance(value, dict | list) else value for value in values]
    return values


def _plain(value: object) -> str | int | None:
    return value if isinstance(value, int | str | None) else str(value)
