"""Avro with a schema registry, by fastavro (`mlhealth[avro]`)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from io import BytesIO
from typing import Any

import orjson

from mlhealth.errors import ConfigError, DataError
from mlhealth.events.formats.base import WriterSchema
from mlhealth.events.formats.framed import Extracted, FramedFormat, columns_of

_BROKEN = (
    EOFError, ValueError, IndexError, TypeError, KeyError, OverflowError, StopIteration, AttributeError, struct.error,
    MemoryError, RecursionError,
)  # fmt: skip


class AvroFormat(FramedFormat):
    """See the module. Logical types of time become times; decimals become numbers."""

    name = "avro"
    kind = "AVRO"

    def extract(self, schema: WriterSchema, values: Sequence[bytes], names: Sequence[str]) -> Extracted:
        read, parsed = _reader(schema)
        records: list[Mapping[str, Any]] = []
        good: list[int] = []
        faults: list[tuple[int, str]] = []
        for i, value in enumerate(values):
            try:
                record = read(BytesIO(value), parsed, None)
            except _BROKEN as error:
                faults.append((i, f"not of its Avro schema ({type(error).__name__})"))
                continue
            if isinstance(record, dict):
                records.append(record)
                good.append(i)
            else:
                faults.append((i, "its Avro schema is not of a record"))
        return Extracted(_numbers(columns_of(records, names)), good, faults)


def _numbers(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    for name, values in columns.items():
        if any(isinstance(value, Decimal) for value in values):
            columns[name] = [None if value is None else float(value) for value in values]
    return columns


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
