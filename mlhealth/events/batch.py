"""`EventBatch`: a columnar batch of inference events of one model version, in canonical types.

Columns of the table, all of equal length, none with Arrow nulls except text columns:

| column | type | meaning |
|---|---|---|
| `__key` | uint64 | hash of the event key: the schema's id, else topic/partition/offset/row |
| `__id` | string | the event's own id, null where it has none |
| `__time` | int64 | event time in microseconds; the row number for files without a timestamp |
| `__prediction` | int16 or float64 | index into `schema.classes`, or the predicted value |
| `__score:<class>` | float64 | probability of that class (binary: of the positive class only) |
| `__weight` | float64 | only of a sampled log: how many events of the traffic the row stands for |
| `__label` | int16 or float64 | only where labels are there; -1 or NaN where one is missing |
| each numeric feature | float64 | NaN is missing; infinities are kept and counted as non-finite |
| each categorical or boolean feature, each segment column | string | null is missing |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlhealth.schema.model_schema import ModelSchema

KEY = "__key"
ID = "__id"
TIME = "__time"
PREDICTION = "__prediction"
LABEL = "__label"
WEIGHT = "__weight"


def score_column(name: str) -> str:
    """Return the canonical column of the probability of class `name`."""
    return f"__score:{name}"


def score_columns(schema: ModelSchema) -> tuple[str, ...]:
    """Return the canonical score columns of a schema, in class order; empty where it logs no scores."""
    if not schema.scores:
        return ()
    classes = schema.classes[1:] if len(schema.scores) == 1 else schema.classes
    return tuple(score_column(c) for c in classes)


@dataclass(frozen=True)
class EventBatch:
    """Events of one model version as Arrow columns; see the module's table."""

    schema: ModelSchema
    table: pa.Table

    @property
    def rows(self) -> int:
        """Number of events."""
        return int(self.table.num_rows)

    def array(self, column: str) -> NDArray[np.generic]:
        """Return a numeric column as a numpy array, shape (rows,), without a copy where it can."""
        chunked = self.table.column(column)
        whole = chunked.chunk(0) if chunked.num_chunks == 1 else chunked.combine_chunks()
        return np.asarray(whole.to_numpy(zero_copy_only=False))

    def sampled(self, fraction: float) -> EventBatch:
        """Return the batch of a log that holds so large a share of the traffic; rows that have weights keep them."""
        if fraction == 1.0 or WEIGHT in self.table.column_names:
            return self
        weights = pa.array(np.full(self.rows, 1.0 / fraction))
        return EventBatch(self.schema, self.table.append_column(WEIGHT, weights))

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> EventBatch:
        """Return the batch of the rows at the given positions, or where the mask is true."""
        picked = self.table.filter(pa.array(rows)) if rows.dtype == bool else self.table.take(pa.array(rows))
        return EventBatch(self.schema, picked)


def stacked(tables: Sequence[pa.Table]) -> pa.Table:
    """Return canonical tables as one; where some rows have weights, those without stand for themselves.

    A sample written by an earlier version lacks columns that were added since: they are null there.
    """
    table = pa.concat_tables(tables, promote_options="default")
    if WEIGHT not in table.column_names or not table.column(WEIGHT).null_count:
        return table
    place = table.column_names.index(WEIGHT)
    return table.set_column(place, WEIGHT, pc.fill_null(table.column(WEIGHT), 1.0))
