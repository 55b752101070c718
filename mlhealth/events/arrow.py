"""Messages that each hold an Arrow IPC stream of many events → canonical batches."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.errors import DataError
from mlhealth.events.arrow_stream import read_stream
from mlhealth.events.batch import stacked
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages
from mlhealth.events.normalise import Origin, normalise
from mlhealth.records import Rejection
from mlhealth.schema.model_schema import ModelSchema


def decode(messages: Messages, schema: ModelSchema, *, labels: bool | None = False) -> Decoded:
    """Return the events in `messages`, all of the model version of `schema`; a stream that cannot be read is rejected.

    Columns and their meaning are those of a JSON event's fields. `labels`: see `normalise`.
    """
    tables: list[pa.Table] = []
    read: list[int] = []
    faults: list[Rejection] = []
    for position, value in enumerate(messages.values):
        try:
            tables.append(read_stream(value))
            read.append(position)
        except DataError as error:
            faults.append(_fault(messages, position, str(error)))
    parts = [_part(messages, schema, group, labels) for group in _alike(tables, read)]
    if not parts:
        parts = [
            _part(messages, schema, ([], [pa.table({schema.prediction: pa.array([], pa.float64())})]), labels)
        ]
    batch = parts[0].batch
    if len(parts) > 1:
        batch = type(batch)(schema, stacked([p.batch.table for p in parts]))
    message = np.concatenate([part.message for part in parts])
    if len(parts) > 1:
        order = np.argsort(message, kind="stable")
        batch, message = batch.take(order), message[order]
    return Decoded(batch, message, (*faults, *(r for part in parts for r in part.rejections)))


def _alike(tables: list[pa.Table], read: list[int]) -> list[tuple[list[int], list[pa.Table]]]:
    """Return the tables by their columns and types, each with the positions of their messages."""
    groups: dict[str, tuple[list[int], list[pa.Table]]] = {}
    for position, table in zip(read, tables, strict=True):
        positions, found = groups.setdefault(table.schema.to_string(show_schema_metadata=False), ([], []))
        positions.append(position)
        found.append(table)
    return list(groups.values())


def _part(
    messages: Messages, schema: ModelSchema, group: tuple[list[int], list[pa.Table]], labels: bool | None
) -> Decoded:
    positions, tables = group
    counts = np.array([table.num_rows for table in tables][: len(positions)], dtype=np.int64)
    message = np.repeat(np.array(positions, dtype=np.int32), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    row = np.arange(len(message), dtype=np.int64) - first
    # as one piece: what is done per column is then done once, not once for each message
    table = pa.concat_tables([table.replace_schema_metadata(None) for table in tables]).combine_chunks()
    places = tuple((p.topic, p.number) for p in messages.partitions)
    origin = Origin(places, messages.index[message], messages.offsets[message], row)
    found = normalise(table, schema, origin, default_time=messages.timestamps[message], labels=labels)
    kept: NDArray[np.int32] = message[found.kept]
    return Decoded(found.batch, kept, found.rejections)


def _fault(messages: Messages, position: int, reason: str) -> Rejection:
    partition = messages.partitions[messages.index[position]]
    return Rejection(partition.topic, partition.number, int(messages.offsets[position]), 0, reason)
