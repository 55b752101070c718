"""`EventBatch`: a columnar batch of inference events of one model version, in canonical types.

Columns of the table, all of equal length, none with Arrow nulls except text columns:

| column | type | meaning |
|---|---|---|
| `__key` | uint64 | hash of the event key: the schema's id, else topic/partition/offset/row |
| `__id` | string | the event's own id, null where it has none |
| `__time` | int64 | event time in microseconds; the row number for files without a timestamp |
| `__prediction` | int16 or float64 | index into `schema.classes`, or the predicted value |
| `__score:<class>` | float64 | probability of that class (binary: of the positive class only) |
| `__label` | int16 or float64 | only where labels are there; -1 or NaN where one is missing |
| each numeric feature | float64 | NaN is missing; infinities are kept and counted as non-finite |
| each categorical or boolean feature, each segment column | string | null is missing |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.schema.model_schema import ModelSchema

KEY = "__key"
ID = "__id"
TIME = "__time"
PREDICTION = "__prediction"
LABEL = "__label"


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

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> EventBatch:
        """Return the batch of the rows at the given positions, or where the mask is true."""
        picked = self.table.filter(pa.array(rows)) if rows.dtype == bool else self.table.take(pa.array(rows))
        return EventBatch(self.schema, picked)
