"""Label messages → labels by event key: which event, what was true, and when that was known.

A label is a flat object: the event's id under the schema's own column name, `id` or `event_id`, or its key and time
where events are named by those (`columns.key`); its true class or value under the schema's label column or `label`;
optionally `at`, when it was so, for corrections that overtake each other. A message holds one object, several lines of
them, or an Arrow stream with these columns. An event without an id of its own is named by `__key`, the number under
which `mlhealth label suggest` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.clock import from_iso
from mlhealth.errors import ConfigError, DataError
from mlhealth.events.arrow_stream import read_stream
from mlhealth.events.batch import KEY
from mlhealth.events.keys import text_keys
from mlhealth.events.messages import Messages
from mlhealth.events.normalise import ID_FIELD, keyed_ids
from mlhealth.events.timestamps import UNKNOWN, to_micros
from mlhealth.records import Rejection
from mlhealth.schema.model_schema import ModelSchema, canonical_text

LABEL_FORMAT = "label"
"""The format header's value for messages that hold labels."""
_LATEST = 2**62
_ARROW = b"\xff\xff\xff\xff"
"""How an Arrow stream begins; no JSON does."""


@dataclass(frozen=True)
class Names:
    """Under which names a label's parts are looked for, the first that is there; `key`: those of key and time."""

    id: tuple[str, ...]
    label: tuple[str, ...]
    key: tuple[str, str] | None = None
    at: str = "at"

    @classmethod
    def of(cls, schema: ModelSchema) -> Names:
        """Return the names that labels of a model may use."""
        own = () if schema.id is None else (schema.id,)
        told = () if schema.label is None else (schema.label,)
        keyed = None
        if schema.key is not None and schema.timestamp is not None:
            keyed = schema.key, schema.timestamp
        ids = dict.fromkeys((*own, "id", "event_id", ID_FIELD))
        return cls(tuple(ids), tuple(dict.fromkeys((*told, "label"))), keyed)


@dataclass(frozen=True)
class DecodedLabels:
    """Labels, (n,) each: hash of the event's key, class text or number as text, when it was so, and its message."""

    keys: NDArray[np.uint64]
    values: tuple[str, ...]
    at: NDArray[np.int64]
    message: NDArray[np.int32]
    rejections: tuple[Rejection, ...]

    @property
    def rows(self) -> int:
        """How many labels can be used."""
        return len(self.values)


def decode_labels(messages: Messages, schema: ModelSchema) -> DecodedLabels:
    """Return the labels in `messages`; where one does not say when it was so, its message's time is taken."""
    reading = Reading(Names.of(schema), schema)
    for i, body in enumerate(messages.values):
        place, offset = messages.partitions[messages.index[i]], int(messages.offsets[i])
        for row, given in enumerate(_objects(body)):
            reason = reading.take(given, i, int(messages.timestamps[i]))
            if reason is not None:
                reading.rejections.append(Rejection(place.topic, place.number, offset, row, reason))
    return reading.done()


class Reading:
    """Collects labels one by one."""

    def __init__(self, names: Names, schema: ModelSchema) -> None:
        self._names, self._schema = names, schema
        self._ids: list[str | None] = []
        self._keys: list[int] = []
        self._values: list[str] = []
        self._at: list[int] = []
        self._message: list[int] = []
        self.rejections: list[Rejection] = []

    def take(self, given: Mapping[str, Any] | str, message: int, written: int) -> str | None:
        """Add one label, or return why it cannot be used; a text in place of a label is that reason."""
        if isinstance(given, str):
            return given
        try:
            event, key = _event(given, self._names)
            value = next((given[name] for name in self._names.label if given.get(name) is not None), None)
            found = label_value(value, self._schema)
            at = _time(given.get(self._names.at), written)
        except ValueError as error:
            return str(error)
        self._ids.append(event)
        self._keys.append(key)
        self._values.append(found)
        self._at.append(at)
        self._message.append(message)
        return None

    def done(self) -> DecodedLabels:
        """Return what was collected."""
        keys = text_keys(pa.array(self._ids, type=pa.string()))
        given = np.array(self._keys, dtype=np.uint64)
        known = np.array([event is not None for event in self._ids], dtype=np.bool_)
        return DecodedLabels(
            np.where(known, keys, given),
            tuple(self._values),
            np.array(self._at, dtype=np.int64),
            np.array(self._message, dtype=np.int32),
            tuple(self.rejections),
        )


def label_value(value: object, schema: ModelSchema) -> str:
    """Return a label as it is stored; raises ValueError in words where it is none of the model's."""
    if value is None or value == "" or (isinstance(value, float) and isnan(value)):
        raise ValueError("the label is missing")
    if isinstance(value, dict | list):
        raise ValueError("the label is not a single value")  # noqa: TRY004 (told to the sender, not a bug)
    if schema.is_classification:
        text = canonical_text(value)
        known = text if text in schema.classes else _number_text(text)
        if known not in schema.classes:
            raise ValueError(f"the label is none of the classes {', '.join(schema.classes[:10])}")
        return known
    try:
        number = float(value) if not isinstance(value, bool) else float("nan")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float("nan")
    if not isfinite(number):
        raise ValueError("the label is not a finite number")
    return repr(number)


def class_index(values: Sequence[str | None], schema: ModelSchema) -> NDArray[np.int64] | NDArray[np.float64]:
    """Return stored labels as `Rows.label` has them, -1 or NaN for None."""
    if not schema.is_classification:
        return np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)
    number = {name: i for i, name in enumerate(schema.classes)}
    return np.array([-1 if v is None else number.get(v, -1) for v in values], dtype=np.int64)


def _event(given: Mapping[str, Any], names: Names) -> tuple[str | None, int]:
    """Return the id of a label's event, or None and its key; raises ValueError where there is neither."""
    event = next((given[name] for name in names.id if given.get(name) is not None), None)
    if event is None and names.key is not None and given.get(names.key[0]) is not None:
        return _keyed_id(given[names.key[0]], given.get(names.key[1])), 0
    if event is None and str(given.get(KEY, "")).isdigit() and int(given[KEY]) < 2**64:
        return None, int(given[KEY])
    if event is None:
        wanted = " or ".join(names.id[:3]) if names.key is None else " and ".join(names.key)
        raise ValueError(f"the event's id is missing ({wanted})")
    if isinstance(event, dict | list) or event == "":
        raise ValueError("the event's id is not a single value")
    return canonical_text(event), 0


def _keyed_id(key: object, time: object) -> str:
    """Return the id of an event that is named by its key and its time, read as the events' own times are."""
    micros = int(to_micros(pa.chunked_array([pa.array([time])]))[0]) if time is not None else UNKNOWN
    if micros == UNKNOWN:
        raise ValueError("the event's time is missing or cannot be read")
    found = keyed_ids(pa.array([canonical_text(key)]), pa.array([micros], type=pa.int64()))
    return str(found[0].as_py())


def _time(value: object, written: int) -> int:
    if value is None or (isinstance(value, float) and isnan(value)):
        return written
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LATEST:
        return value
    try:
        return from_iso(str(value))
    except ConfigError:
        raise ValueError("at: the time cannot be read; write ISO 8601 or microseconds") from None


def _number_text(text: str) -> str:
    """Return a class that was spelt otherwise: `1.0` from a table of floats is class `1`, `True` is class `1`."""
    if text in {"True", "true", "False", "false"}:
        return "1" if text.lower() == "true" else "0"
    try:
        return canonical_text(float(text))
    except (ValueError, OverflowError):
        return text


def _objects(body: bytes) -> Iterator[Mapping[str, Any] | str]:
    """Yield the objects of one message; a text says what was wrong instead of one."""
    if body.startswith(_ARROW):
        yield from _arrow_rows(body)
        return
    if not body.strip():
        yield "the message is empty"
        return
    try:
        yield from _each(orjson.loads(body))
    except orjson.JSONDecodeError:
        lines = [line for line in body.split(b"\n") if line.strip()]
        for line in lines:
            try:
                yield from _each(orjson.loads(line))
            except orjson.JSONDecodeError:
                yield "not valid JSON"


def _each(document: object) -> Iterator[Mapping[str, Any] | str]:
    for found in document if isinstance(document, list) else [document]:
        yield found if isinstance(found, dict) else "not a JSON object"


def _arrow_rows(body: bytes) -> Iterator[Mapping[str, Any] | str]:
    try:
        yield from read_stream(body).to_pylist()
    except (DataError, ValueError, OverflowError):
        yield "not an Arrow IPC stream"
