"""Messages framed as Confluent's serializers do: a zero byte, the schema's number in four bytes, then the data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from mlhealth.errors import ConfigError, DataError
from mlhealth.events import json
from mlhealth.events.formats.base import Format, Reading, SchemaSource, WriterSchema
from mlhealth.events.formats.tables import Fault, Records, decoded, empty, joined, wanted
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages

HEAD = 5
"""Bytes before the data."""


@dataclass(frozen=True)
class Extracted:
    """What one schema's messages hold: columns, which of them were good, and what was wrong with the others.

    A value in a column may be bytes, a decimal, or no single value at all: see `events.values`.
    """

    columns: Mapping[str, Sequence[Any] | pa.Array]
    good: Sequence[int]
    faults: Sequence[tuple[int, str]] = ()


class FramedFormat(Format):
    """A format whose writers keep their schemas in a registry; each message is one event."""

    kind: ClassVar[str]
    """What the registry calls such schemas."""

    def prepare(self, messages: Messages, registry: SchemaSource) -> None:
        """Ask the registry for every schema that is not known yet; raises RecoverableError where it does not answer."""
        numbers = {_number(head) for head in {value[:HEAD] for value in messages.values}}
        for number in sorted(number for number in numbers if number is not None):
            try:
                registry.schema(number)
            except DataError:
                continue  # told for each message when it is decoded

    def decode(self, messages: Messages, reading: Reading) -> Decoded:
        parts: list[Decoded] = []
        faults: list[Fault] = []
        for head, at in _by_head(messages.values).items():
            number = _number(head)
            if number is None:
                faults += [(i, 0, "not framed: a zero byte and a schema's number are needed") for i in at]
            else:
                parts += self._group(messages, reading, number, at)
        if faults or not parts:
            parts.append(empty(messages, reading.schema, faults))
        return joined(parts, reading.schema)

    def _group(self, messages: Messages, reading: Reading, number: int, at: Sequence[int]) -> list[Decoded]:
        try:
            schema = _registry(reading).schema(number)
            if schema.kind == "JSON":
                return [_json(messages, reading, at)]
            if schema.kind != self.kind:
                raise DataError(f"schema {number} is {schema.kind}, not {self.kind}")
            values = messages.values if len(at) == len(messages) else [messages.values[i] for i in at]
            found = self.extract(schema, values, fields(reading))
        except DataError as error:
            return [empty(messages, reading.schema, [(i, 0, str(error)) for i in at])]
        return [_decoded(messages, reading, at, part) for part in found if part.good or part.faults]

    @abstractmethod
    def extract(self, schema: WriterSchema, values: Sequence[bytes], names: Sequence[str]) -> list[Extracted]:
        """Return the fields called `names` of framed messages of one schema, type of record by type of record.

        Raises DataError for a bad schema.
        """


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
    return _fields(wanted(reading.schema), renames, extra)


def _decoded(messages: Messages, reading: Reading, at: Sequence[int], found: Extracted) -> Decoded:
    payload = reading.payload
    renames = payload.renames
    faults = [(at[i], 0, reason) for i, reason in found.faults]
    if not found.good:
        return empty(messages, reading.schema, faults)
    message = np.asarray(at, dtype=np.int32)[np.asarray(found.good)]
    columns = {renames.get(field, field): values for field, values in found.columns.items()}
    if payload.time and payload.time in found.columns and reading.schema.timestamp is not None:
        columns[reading.schema.timestamp] = found.columns[payload.time]
    ids = None
    if payload.id and payload.id in found.columns:
        ids = [None if value is None else str(value) for value in _listed(found.columns[payload.id])]
    row = np.zeros(len(message), dtype=np.int64)
    return decoded(messages, reading.schema, Records(columns, message, row, faults, None, ids))


def _listed(values: Sequence[Any] | pa.Array) -> Sequence[Any]:
    return values.to_pylist() if isinstance(values, pa.Array) else values


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


def _by_head(values: Sequence[bytes]) -> dict[bytes, Sequence[int]]:
    """Return the positions of the messages that begin alike."""
    heads = [value[:HEAD] for value in values]
    if len(set(heads)) == 1:
        return {heads[0]: range(len(heads))}
    found: dict[bytes, list[int]] = {}
    for position, head in enumerate(heads):
        found.setdefault(head, []).append(position)
    return {**found}


def _number(value: bytes) -> int | None:
    return int.from_bytes(value[1:HEAD], "big") if len(value) >= HEAD and value[0] == 0 else None


def _registry(reading: Reading) -> SchemaSource:
    if reading.registry is None:
        raise ConfigError("avro and protobuf messages need `schema_registry: {url: …}` in the configuration")
    return reading.registry
