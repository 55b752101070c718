"""A table in the user's own columns and types → an `EventBatch`, and the rows that could not be used, with reasons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlhealth.events import timestamps
from mlhealth.events.batch import ID, KEY, LABEL, PREDICTION, TIME, WEIGHT, EventBatch, score_columns
from mlhealth.events.columns import Given, boolean_column, class_codes, number_column, numbers, text_column
from mlhealth.events.keys import address_keys, row_number_keys, text_keys
from mlhealth.events.personal import protected
from mlhealth.events.text import plain, to_text
from mlhealth.records import Rejection
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema

ID_FIELD = "__id"
"""Column that carries an event's id where the schema names none; written by `replay`."""
FRACTION_FIELD = "__sampling_fraction"
"""Column that carries an event's sampling fraction where the schema names neither that nor a weight."""
MOST_WEIGHT = 1_000_000.0
"""Events that one row may stand for."""


@dataclass(frozen=True)
class Origin:
    """Where each of n rows lies: `places` are (source, partition) pairs; the arrays are of shape (n,).

    Row i came from `places[place[i]]`, from the message at `offset[i]`, as its row `row[i]`.
    """

    places: tuple[tuple[str, int], ...]
    place: NDArray[np.int32]
    offset: NDArray[np.int64]
    row: NDArray[np.int64]
    is_file: bool = False

    @classmethod
    def file(cls, name: str, rows: int, *, first: int = 0) -> Origin:
        """Return the origin of a file's rows, numbered from `first`."""
        zeros = np.zeros(rows, dtype=np.int64)
        numbers = np.arange(first, first + rows, dtype=np.int64)
        return cls(((name, 0),), zeros.astype(np.int32), zeros, numbers, is_file=True)

    def keys(self) -> NDArray[np.uint64]:
        """Return the event keys of rows that have no id: of the row number in files, else of the address."""
        if self.is_file:
            return row_number_keys(self.row)
        return address_keys(self.places, self.place, self.offset, self.row)

    def rejection(self, i: int, reason: str) -> Rejection:
        """Return the rejection of row i."""
        source, partition = self.places[self.place[i]]
        return Rejection(source, partition, int(self.offset[i]), int(self.row[i]), reason)


@dataclass(frozen=True)
class Normalised:
    """The usable rows, the rejected ones, and which rows of the table the batch holds, shape (batch.rows,)."""

    batch: EventBatch
    rejections: tuple[Rejection, ...]
    kept: NDArray[np.intp]


class _Columns:
    """Collects canonical columns and the first fault of each row."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.columns: dict[str, NDArray[np.generic] | pa.Array] = {}
        self.fault = np.full(rows, -1, dtype=np.int64)
        self.reasons: list[str] = []

    def reject(self, rows: NDArray[np.bool_] | None, reason: str) -> None:
        """Mark rows as unusable for `reason`, unless they already are; None stands for no row."""
        if rows is None or not rows.any():
            return
        fresh = rows & (self.fault < 0)
        if fresh.any():
            self.fault[fresh] = len(self.reasons)
            self.reasons.append(reason)


def normalise(
    table: pa.Table,
    schema: ModelSchema,
    origin: Origin,
    *,
    default_time: NDArray[np.int64] | None = None,
    labels: bool | None = None,
) -> Normalised:
    """Return `table` in canonical columns, without the rows that do not fit the schema.

    A row is rejected for a missing or unknown prediction, a missing score or one outside [0, 1], a value of the
    wrong type, a weight that cannot be, or a time that cannot be read. A row without a weight stands for itself.
    A feature column that the table lacks is missing in every row.
    `default_time`: microseconds, (n,), used where the schema has no timestamp; without it, the row number.
    `labels`: whether the batch has labels; None means where the table has them.
    """
    table = protected(table, schema)
    given = dict(zip(table.column_names, table.columns, strict=True))
    out = _Columns(table.num_rows)
    _targets(given, schema, out)
    _times(given, schema, origin, default_time, out)
    for feature in schema.features:
        _feature(given, feature, out)
    for segment in schema.segments:
        if segment not in out.columns:
            out.columns[segment] = text_column(given, segment, out.rows)
    if labels or (labels is None and schema.label in given):
        out.columns[LABEL] = _labels(given, schema, out.rows)
    _weights(given, schema, out)
    ids = _ids(given, schema, out.columns[TIME])
    out.columns[ID] = ids
    out.columns[KEY] = _keys(ids, origin)
    return _finish(out, schema, origin)


def _finish(out: _Columns, schema: ModelSchema, origin: Origin) -> Normalised:
    kept = np.flatnonzero(out.fault < 0)
    full = pa.table({name: pa.array(column) for name, column in out.columns.items()})
    rejected = np.flatnonzero(out.fault >= 0)
    rejections = tuple(origin.rejection(int(i), out.reasons[out.fault[i]]) for i in rejected)
    usable = full if len(rejected) == 0 else full.take(pa.array(kept))
    return Normalised(EventBatch(schema, usable), rejections, kept)


def _targets(given: Given, schema: ModelSchema, out: _Columns) -> None:
    if schema.is_classification:
        codes, missing = class_codes(given, schema.prediction, schema.classes, out.rows)
        out.reject(missing, f"{schema.prediction}: the prediction is missing")
        out.reject(codes < 0, f"{schema.prediction}: the prediction is not one of the schema's classes")
        out.columns[PREDICTION] = codes
    else:
        values, wrong = numbers(given, schema.prediction, out.rows)
        out.reject(wrong, f"{schema.prediction}: the prediction is not a number")
        out.reject(~np.isfinite(values), f"{schema.prediction}: the prediction is missing or not finite")
        out.columns[PREDICTION] = values
    for name, canonical in zip(schema.scores, score_columns(schema), strict=True):
        values, wrong = numbers(given, name, out.rows)
        out.reject(wrong, f"{name}: the score is not a number")
        out.reject(~np.isfinite(values), f"{name}: the score is missing or not finite")
        out.reject(~((values >= 0) & (values <= 1)), f"{name}: the score is outside 0 to 1")
        out.columns[canonical] = values


def _times(
    given: Given,
    schema: ModelSchema,
    origin: Origin,
    default: NDArray[np.int64] | None,
    out: _Columns,
) -> None:
    if schema.timestamp is None or (origin.is_file and schema.timestamp not in given):
        out.columns[TIME] = origin.row if default is None else np.asarray(default, dtype=np.int64)
        return
    if schema.timestamp not in given:
        out.reject(np.ones(out.rows, dtype=np.bool_), f"{schema.timestamp}: the event time is missing")
        out.columns[TIME] = np.zeros(out.rows, dtype=np.int64)
        return
    column = given[schema.timestamp]
    micros = timestamps.to_micros(column)
    missing = np.asarray(plain(column).is_null().to_numpy(zero_copy_only=False))
    out.reject(missing, f"{schema.timestamp}: the event time is missing")
    out.reject(micros == timestamps.UNKNOWN, f"{schema.timestamp}: the event time cannot be read")
    out.columns[TIME] = micros


def _weights(given: Given, schema: ModelSchema, out: _Columns) -> None:
    fields = (schema.weight, schema.sampling_fraction, FRACTION_FIELD)
    name = next((field for field in fields if field in given), None)
    if name is None:
        return
    values, wrong = numbers(given, name, out.rows)
    out.reject(wrong, f"{name}: not a number")
    said = np.where(np.isnan(values), 1.0, values)
    most = MOST_WEIGHT if name == schema.weight else 1.0
    out.reject(
        ~((said >= 1.0 / MOST_WEIGHT) & (said <= most)), f"{name}: outside {1 / MOST_WEIGHT:g} to {most:g}"
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        out.columns[WEIGHT] = said if name == schema.weight else 1.0 / said


def _feature(given: Given, feature: Feature, out: _Columns) -> None:
    name = feature.name
    if feature.type is FeatureType.NUMERIC:
        values, wrong = number_column(given, name, out.rows)
        out.reject(wrong, f"{name}: not a number")
        out.columns[name] = values
        return
    read = boolean_column if feature.type is FeatureType.BOOLEAN else text_column
    texts = out.columns[name] = read(given, name, out.rows)
    if name in given and pa.types.is_nested(given[name].type):
        out.reject(np.asarray(texts.is_valid()), f"{name}: a single value is needed")


def _labels(given: Given, schema: ModelSchema, rows: int) -> NDArray[np.generic]:
    if schema.label is None or schema.label not in given:
        empty = -1 if schema.is_classification else np.nan
        return np.full(rows, empty, dtype=np.int16 if schema.is_classification else np.float64)
    if schema.is_classification:
        return class_codes(given, schema.label, schema.classes, rows)[0]
    values, _ = numbers(given, schema.label, rows)
    return np.where(np.isfinite(values), values, np.nan)


def _ids(given: Given, schema: ModelSchema, times: NDArray[np.generic] | pa.Array) -> pa.Array:
    """Return the events' own ids as texts, null where they have none."""
    if schema.key is not None and schema.key in given:
        return keyed_ids(to_text(given[schema.key]), pa.array(times, type=pa.int64()))
    name = schema.id if schema.id is not None else ID_FIELD
    return to_text(given[name]) if name in given else pa.nulls(len(times), pa.string())


def keyed_ids(keys: pa.Array, times: pa.Array) -> pa.Array:
    """Return the ids of events that are named by a key and their time (microseconds); null where either is."""
    return pc.binary_join_element_wise(keys, times.cast(pa.string()), "@")


def _keys(ids: pa.Array, origin: Origin) -> NDArray[np.uint64]:
    if ids.null_count == len(ids):
        return origin.keys()
    keys = text_keys(ids)
    if ids.null_count:
        missing = ids.is_null().to_numpy(zero_copy_only=False)
        keys[missing] = origin.keys()[missing]
    return keys
