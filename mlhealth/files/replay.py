"""A table's rows as native events: one JSON object per row, with an id, so that topic and file give equal reports."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.errors import DataError
from mlhealth.events.normalise import ID_FIELD
from mlhealth.events.timestamps import UNKNOWN, to_micros
from mlhealth.schema.model_schema import ModelSchema

_ROWS = 5_000


@dataclass(frozen=True)
class Replay:
    """What is sent: the rows that have a time, in order of event time, at most `per_message` in one message."""

    table: pa.Table
    schema: ModelSchema
    times: NDArray[np.int64]
    per_message: int = 1

    @classmethod
    def of(cls, table: pa.Table, schema: ModelSchema, *, per_message: int = 1, name: str = "file") -> Replay:
        """Return the replay of a table; rows without an id of their own get their row number."""
        if schema.timestamp is None or schema.timestamp not in table.column_names:
            raise DataError(
                f"{name}: a replay needs event times; name the column in the schema (columns.timestamp)"
            )
        times = to_micros(table.column(schema.timestamp))
        named = schema.key or schema.id
        if named is None or named not in table.column_names:
            numbers = pa.array(np.arange(table.num_rows, dtype=np.int64))
            table = table.append_column(schema.id or ID_FIELD, numbers)
        order = np.argsort(times, kind="stable")
        return cls(table.take(pa.array(order)), schema, times[order], per_message)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)

    @property
    def last(self) -> int:
        """The latest event time that could be read."""
        return int(self.times.max()) if self.rows else UNKNOWN

    def bodies(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number of the row that each message begins with, and the message's body."""
        for start in range(0, self.rows, _ROWS):
            lines = [orjson.dumps(row, default=_plain) for row in _events(self.table.slice(start, _ROWS))]
            for at in range(0, len(lines), self.per_message):
                yield start + at, b"\n".join(lines[at : at + self.per_message])


def _events(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    floats = [f.name for f in table.schema if pa.types.is_floating(f.type)]
    for row in rows:
        for name in floats:
            value = row[name]
            if value is not None and not math.isfinite(value):
                row[name] = None if math.isnan(value) else str(value)
    return rows


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def partition_of(number: int, partitions: Sequence[int]) -> int:
    """Return the partition of a message: round and round, so that all are in step in event time."""
    return partitions[number % len(partitions)]
