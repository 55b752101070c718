"""Columns of values from many messages → canonical batches: the last step that all formats of records share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.events import timestamps
from mlhealth.events.batch import EventBatch, stacked
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages
from mlhealth.events.normalise import FRACTION_FIELD, ID_FIELD, Origin, normalise
from mlhealth.events.values import column_of, columns_of_numbers
from mlhealth.records import Rejection
from mlhealth.schema.model_schema import ModelSchema

Fault = tuple[int, int, str]
"""Position of a message, row within it, and what is wrong with it."""


@dataclass(frozen=True)
class Records:
    """Events as columns in the user's names; which message each came from, and its row there; faults.

    `values`: a sequence or array per column, all of one length. `times`: what the log says of when each happened, None
    where it does not; used where the schema names no timestamp, or no such column is there. `ids` and `fractions` (by
    which the log was sampled) likewise.
    """

    values: Mapping[str, Sequence[Any] | NDArray[Any] | pa.Array]
    message: NDArray[np.int32]
    row: NDArray[np.int64]
    faults: Sequence[Fault] = ()
    times: Sequence[str | int | None] | None = None
    ids: Sequence[str | None] | None = None
    fractions: Sequence[float | None] | None = None


def decoded(messages: Messages, schema: ModelSchema, records: Records) -> Decoded:
    """Return records as events of `schema`."""
    places = tuple((p.topic, p.number) for p in messages.partitions)
    message = records.message
    origin = Origin(places, messages.index[message], messages.offsets[message], records.row)
    default = messages.timestamps[message]
    numbers = columns_of_numbers(schema)
    columns = {name: column(values, number=name in numbers) for name, values in records.values.items()}
    if records.times is not None and (schema.timestamp is None or schema.timestamp not in columns):
        micros = _micros(records.times, default)
        if schema.timestamp is None:
            default = micros
        else:
            columns[schema.timestamp] = pa.array(
                micros, type=pa.timestamp("us")
            )  # `UNKNOWN` stays what it is
    if records.ids is not None and (schema.id or ID_FIELD) not in columns:
        columns[schema.id or ID_FIELD] = pa.array(records.ids, type=pa.string())
    if records.fractions is not None and not {schema.weight, schema.sampling_fraction} & set(columns):
        columns[FRACTION_FIELD] = pa.array(records.fractions, type=pa.float64())
    columns.setdefault(schema.prediction, pa.nulls(len(message)))
    found = normalise(pa.table(columns), schema, origin, default_time=default, labels=False)
    faults = tuple(_rejection(messages, *fault) for fault in records.faults)
    return Decoded(found.batch, message[found.kept], (*faults, *found.rejections))


def empty(messages: Messages, schema: ModelSchema, faults: Sequence[Fault] = ()) -> Decoded:
    """Return no events, and the faults."""
    nothing = Records(
        {schema.prediction: ()}, np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64), faults
    )
    return decoded(messages, schema, nothing)


def wanted(schema: ModelSchema) -> frozenset[str]:
    """Return every column that a schema reads from an event."""
    return frozenset(schema.columns)


def places_of(counts: Sequence[int], positions: Sequence[int]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return message and row of each event, where the message at `positions[i]` holds `counts[i]` events."""
    numbers = np.asarray(counts, dtype=np.int64)
    message = np.repeat(np.asarray(positions, dtype=np.int32), numbers)
    first = np.repeat(np.cumsum(numbers) - numbers, numbers)
    return message, np.arange(len(message), dtype=np.int64) - first


def joined(parts: Sequence[Decoded], schema: ModelSchema) -> Decoded:
    """Return batches that were decoded apart as one, in the order of their messages."""
    rejections = tuple(rejection for part in parts for rejection in part.rejections)
    batch, message = parts[0].batch, parts[0].message
    if len(parts) > 1:
        batch = EventBatch(schema, stacked([part.batch.table for part in parts]).combine_chunks())
        message = np.concatenate([part.message for part in parts])
    if (message[1:] < message[:-1]).any():
        order = np.argsort(message, kind="stable")
        batch, message = batch.take(order), message[order]
    return Decoded(batch, message, rejections)


def column(values: Sequence[Any] | NDArray[Any] | pa.Array, *, number: bool) -> pa.Array | pa.ChunkedArray:
    """Return values as an Arrow column; `number`: whether a boolean is of a wrong type."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    return pa.array(values) if isinstance(values, np.ndarray) else column_of(values, number=number)


def _micros(times: Sequence[str | int | None], default: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return times in microseconds; a message's own where there is none, `UNKNOWN` where one cannot be read."""
    texts = [None if time is None else str(time) for time in times]
    column = pa.array(texts, type=pa.string())
    found = timestamps.to_micros(pa.chunked_array([column]))
    missing = column.is_null().to_numpy(zero_copy_only=False)
    return np.where(missing, default, found)


def _rejection(messages: Messages, message: int, row: int, reason: str) -> Rejection:
    partition = messages.partitions[messages.index[message]]
    return Rejection(partition.topic, partition.number, int(messages.offsets[message]), row, reason)
