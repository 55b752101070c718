"""Request bodies → messages as the worker reads them, checked in bulk: how many rows, and which cannot be used.

A body is kept as it came wherever the worker can read it so: NDJSON and Arrow streams are; a JSON array becomes one
line per element. What the check says here, the worker finds again when it decodes the message; so nothing is taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import orjson

from mlhealth.errors import DataError
from mlhealth.events import arrow as arrow_events
from mlhealth.events import json as json_events
from mlhealth.events.arrow_stream import read_stream, written
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages, Partition
from mlhealth.events.personal import protected, protected_lines
from mlhealth.records import Rejection
from mlhealth.schema.model_schema import ModelSchema

JSON = "json"
ARROW = "arrow"
_NDJSON_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
_ARROW_TYPES = ("application/vnd.apache.arrow.stream",)
CONTENT_TYPES = ("application/json", *_NDJSON_TYPES, *_ARROW_TYPES)
"""What a body may be."""
_REQUEST = Partition("request", 0)


class UnknownContentType(DataError):
    """A body of a kind that is not read here."""


@dataclass(frozen=True)
class Body:
    """A message of `rows` rows in `format`, and those of its rows that cannot be used, by number from 0."""

    content: bytes
    format: str
    rows: int
    rejections: tuple[Rejection, ...] = ()

    @property
    def accepted(self) -> int:
        """How many rows can be used."""
        return self.rows - len({rejection.row for rejection in self.rejections})


def read_body(content: bytes, content_type: str, schema: ModelSchema | None) -> Body:
    """Return a body as a message, checked against the schema where one is known.

    `content_type`: one of `CONTENT_TYPES`, parameters allowed. Raises UnknownContentType, and DataError where nothing
    of the body can be read.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _ARROW_TYPES:
        return _arrow_body(content, schema)
    if kind == "application/json":
        return _json_body(_as_lines(content), schema)
    if kind in _NDJSON_TYPES:
        return _json_body(content.strip(), schema)
    raise UnknownContentType(
        f"content type {kind or 'missing'} is not read here; send {', '.join(CONTENT_TYPES)}"
    )


def _as_lines(content: bytes) -> bytes:
    """Return a JSON document as one line per event."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise DataError(f"the body is not valid JSON: {error}") from None
    events = document if isinstance(document, list) else [document]
    return b"\n".join(map(orjson.dumps, events))


def _json_body(content: bytes, schema: ModelSchema | None) -> Body:
    if not content:
        raise DataError("the body is empty: send at least one event")
    if schema is not None and schema.pii:
        content = protected_lines(content, schema)
    if schema is None:
        rows, faults = json_events.check(content)
        rejections = tuple(Rejection(_REQUEST.topic, 0, 0, row, reason) for row, reason in faults)
        return Body(content, JSON, rows, rejections)
    return _decoded(content, JSON, schema, json_events.decode)


def _arrow_body(content: bytes, schema: ModelSchema | None) -> Body:
    if schema is None:
        return Body(content, ARROW, read_stream(content).num_rows)
    table = read_stream(content)
    if schema.pii:
        content = written(protected(table, schema))
    return _decoded(content, ARROW, schema, arrow_events.decode)


def _decoded(
    content: bytes, kind: str, schema: ModelSchema, decode: Callable[[Messages, ModelSchema], Decoded]
) -> Body:
    zero = np.zeros(1, dtype=np.int64)
    found = decode(Messages([content], zero, zero, (_REQUEST,), np.zeros(1, dtype=np.int32)), schema)
    faulty = {rejection.row for rejection in found.rejections}
    return Body(content, kind, found.batch.rows + len(faulty), found.rejections)
