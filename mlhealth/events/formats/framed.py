"""Messages framed as Confluent's serializers do: a zero byte, the schema's number in four bytes, then the data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from mlhealth.errors import ConfigError, DataError
from mlhealth.events import json
from mlhealth.events.formats.base import Format, Reading, SchemaSource, WriterSchema
from mlhealth.events.formats.exchange import wanted
from mlhealth.events.formats.tables import Fault, Records, decoded, empty, joined
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages

HEAD = 5
"""Bytes before the data."""


@dataclass(frozen=True)
class Extracted:
    """What one schema's messages hold: columns, which of them were good, and what was wrong with the others."""

    columns: Mapping[str, Sequence[Any]]
    good: Sequence[int]
    faults: Sequence[tuple[int, str]]


class FramedFormat(Format):
    """A format whose writers keep their schemas in a registry; each message is one event."""

    kind: ClassVar[str]
    """What the registry calls such schemas."""

    def prepare(self, messages: Messages, registry: SchemaSource) -> None:
        """Ask the registry for every schema that is not known yet; raises RecoverableError where it does not answer."""
        numbers = {_number(value) for value in messages.values}
        for number in sorted(number for number in numbers if number is not None):
            try:
                registry.schema(number)
            except DataError:
                continue  # told for each message when it is decoded

    def decode(self, messages: Messages, reading: Reading) -> Decoded:
        groups: dict[int, list[int]] = {}
        faults: list[Fault] = []
        for position, value in enumerate(messages.values):
            number = _number(value)
            if number is None:
                faults.append((position, 0, "not framed: a zero byte and a schema's number are needed"))
            else:
                groups.setdefault(number, []).append(position)
        parts = [self._group(messages, reading, number, at) for number, at in groups.items()]
        if faults or not parts:
            parts.append(empty(messages, reading.schema, faults))
        return joined(parts, reading.schema)

    def _group(self, messages: Messages, reading: Reading, number: int, at: Sequence[int]) -> Decoded:
        try:
            schema = _registry(reading).schema(number)
            if schema.kind == "JSON":
                return _json(messages, reading, at)
            if schema.kind != self.kind:
                raise DataError(f"schema {number} is {schema.kind}, not {self.kind}")
            found = self.extract(schema, [messages.values[i][HEAD:] for i in at], fields(reading))
        except DataError as error:
            return empty(messages, reading.schema, [(i, 0, str(error)) for i in at])
        return _decoded(messages, reading, at, found)

    @abstractmethod
    def extract(self, schema: WriterSchema, values: Sequence[bytes], names: Sequence[str]) -> Extracted:
        """Return the fields called `names` of messages without their heads; raises DataError for a bad schema."""


@lru_cache(maxsize=1024)
def _fields(
    names: frozenset[str], renames: tuple[tuple[str, str], ...], extra: tuple[str, ...]
) -> tuple[str, ...]:
    back = {column: field for field, column in renames}
    return tuple(dict.fromkeys([*(back.get(name, name) for name in sorted(names)), *extra]))


def fields(reading: Reading) -> tuple[str, ...]:
    """Return the fields to read from a record: the schema's columns under the names that records have for them."""
    payload = reading.payload
    renames = tuple(sorted(payload.renames.items()))
    extra = tuple(name for name in (payload.id, payload.time) if name is not None)
    return _fields(wanted(reading), renames, extra)


def _decoded(messages: Messages, reading: Reading, at: Sequence[int], found: Extracted) -> Decoded:
    payload = reading.payload
    renames = payload.renames
    faults = [(at[i], 0, reason) for i, reason in found.faults]
    if not found.good:
        return empty(messages, reading.schema, faults)
    message = np.array([at[i] for i in found.good], dtype=np.int32)
    columns = {renames.get(field, field): values for field, values in found.columns.items()}
    if payload.time and payload.time in found.columns and reading.schema.timestamp is not None:
        columns[reading.schema.timestamp] = found.columns[payload.time]
    ids = None
    if payload.id and payload.id in found.columns:
        ids = [None if value is None else str(value) for value in found.columns[payload.id]]
    row = np.zeros(len(message), dtype=np.int64)
    return decoded(messages, reading.schema, Records(columns, message, row, faults, None, ids))


def _json(messages: Messages, reading: Reading, at: Sequence[int]) -> Decoded:
    """Return messages whose data is JSON."""
    picked = messages.take(np.array(at, dtype=np.intp))
    bare = Messages(
        [value[HEAD:] for value in picked.values],
        picked.offsets,
        picked.timestamps,
        picked.partitions,
        picked.index,
    )
    found = json.decode(bare, reading.schema)
    return Decoded(found.batch, np.array(at, dtype=np.int32)[found.message], found.rejections)


def _number(value: bytes) -> int | None:
    return int.from_bytes(value[1:HEAD], "big") if len(value) >= HEAD and value[0] == 0 else None


def _registry(reading: Reading) -> SchemaSource:
    if reading.registry is None:
        raise ConfigError("avro and protobuf messages need `schema_registry: {url: …}` in the configuration")
    return reading.registry


def columns_of(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the fields of records that any of them has; a value that is none by itself is a wrong type."""
    present = set(chain.from_iterable(records[:1])) if records else set()
    found: dict[str, list[Any]] = {}
    for name in names:
        if name in present or any(name in record for record in records):
            found[name] = [_plain(record.get(name)) for record in records]
    return found


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "?" if isinstance(value, dict | list | tuple) else value
