"""Avro with a schema registry, by fastavro (`mlhealth[avro]`)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from itertools import chain
from typing import Any

import orjson

from mlhealth.errors import ConfigError, DataError
from mlhealth.events.formats.base import WriterSchema
from mlhealth.events.formats.framed import HEAD, Extracted, FramedFormat
from mlhealth.events.values import GrowingColumn

_AT_ONCE = 512
_BROKEN = (
    EOFError, ValueError, IndexError, TypeError, KeyError, OverflowError, StopIteration, AttributeError, struct.error,
    MemoryError, RecursionError,
)  # fmt: skip


class AvroFormat(FramedFormat):
    """See the module. Logical types of time become times; decimals become numbers."""

    name = "avro"
    kind = "AVRO"

    def extract(self, schema: WriterSchema, values: Sequence[bytes], names: Sequence[str]) -> list[Extracted]:
        read, parsed = _reader(schema)
        is_record = isinstance(parsed, dict) and parsed["type"] == "record"
        columns: dict[str, GrowingColumn] = {}
        records: list[dict[str, Any]] = []
        good: list[int] = []
        faults: list[tuple[int, str]] = []
        for i, value in enumerate(values):
            try:
                record = read(BytesIO(value[HEAD:]), parsed, None)
            except _BROKEN as error:
                faults.append((i, f"not of its Avro schema ({type(error).__name__})"))
                continue
            if not isinstance(record, dict):
                faults.append((i, "its Avro schema is not of a record"))
                continue
            records.append(record)
            good.append(i)
            if is_record and len(records) == _AT_ONCE:
                _grow(columns, records, names)
                records = []
        if not is_record:
            return [Extracted(_columns(records, names), good, faults)]
        _grow(columns, records, names)
        return [Extracted({name: column.values() for name, column in columns.items()}, good, faults)]


def _grow(columns: dict[str, GrowingColumn], records: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Add records that all have the same fields in the same order."""
    if not records:
        return
    found = dict(zip(records[0], zip(*map(dict.values, records), strict=True), strict=True))
    for name in names:
        if name in found:
            columns.setdefault(name, GrowingColumn()).add(found[name])


def _columns(records: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the fields that any of the records has."""
    present = set(chain.from_iterable(records))
    return {name: [record.get(name) for record in records] for name in names if name in present}


@lru_cache(maxsize=256)
def _reader(schema: WriterSchema) -> tuple[Any, Any]:
    try:
        from fastavro import parse_schema, schemaless_reader
        from fastavro.schema import SchemaParseException, UnknownType
    except ModuleNotFoundError:
        raise ConfigError("avro messages need fastavro; pip install 'mlhealth[avro]'") from None
    named: dict[str, Any] = {}
    try:
        for _, text in schema.references:
            parse_schema(orjson.loads(text), named_schemas=named)
        return schemaless_reader, parse_schema(orjson.loads(schema.text), named_schemas=named)
    except (SchemaParseException, UnknownType, ValueError, KeyError, TypeError):
        raise DataError("the registry's schema is not valid Avro") from None
