"""What is kept of a closed window's row sample, for labels that come weeks later: no features, bounded size.

| column | type | meaning |
|---|---|---|
| `__key`, `__time`, `__prediction`, `__score:…` | as in `events.batch` | who, when, and what the model answered |
| `__id` | string | the event's own id, by which people find it; null where it has none |
| `__expected:<i>` | float32 | what the baseline's row model expects: P(class i), or the i-th expected loss |
| each segment column | string | so that segments can be told apart |
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.errors import BaselineError
from mlhealth.estimators.loss_metrics import COLUMNS
from mlhealth.estimators.row_model import RowModel
from mlhealth.estimators.rows import Rows, rows_from_table, scores_from_table
from mlhealth.events.batch import ID, KEY, PREDICTION, TIME, score_columns
from mlhealth.schema.model_schema import ModelSchema

_EXPECTED = "__expected:"


@dataclass(frozen=True)
class KeptSample:
    """The kept rows of one window, sorted by event key; see the module's table."""

    schema: ModelSchema
    table: pa.Table

    @classmethod
    def of(
        cls, sample: pa.Table, schema: ModelSchema, model: RowModel, segments: Collection[str] = ()
    ) -> Self:
        """Return what is kept of a window's sample; `segments` are columns kept beside those of the schema."""
        wanted = {KEY, TIME, ID, PREDICTION, *score_columns(schema), *schema.segments, *segments}
        table = sample.select([name for name in sample.column_names if name in wanted])
        expected = model(rows_from_table(sample, schema)).astype(np.float32)
        for i in range(expected.shape[1]):
            table = table.append_column(f"{_EXPECTED}{i}", pa.array(expected[:, i]))
        return cls(schema, table.replace_schema_metadata(None))

    @classmethod
    def from_bytes(cls, blob: bytes, schema: ModelSchema) -> Self:
        """Return the sample that `to_bytes` wrote; raises BaselineError where it is damaged."""
        try:
            return cls(schema, pa.ipc.open_stream(blob).read_all())
        except (pa.ArrowException, OSError) as error:
            raise BaselineError(f"a window's kept sample cannot be read: {type(error).__name__}") from None

    def to_bytes(self) -> bytes:
        """Return the sample as a compressed Arrow stream."""
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(sink, self.table.schema, options=options) as writer:
            writer.write_table(self.table)
        return bytes(sink.getvalue())

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def keys(self) -> NDArray[np.uint64]:
        """Return the event keys, (n,), ascending."""
        return np.asarray(self.table.column(KEY).to_numpy(), dtype=np.uint64)

    @property
    def ids(self) -> list[str | None]:
        """Return the events' own ids."""
        if ID not in self.table.column_names:
            return [None] * len(self)
        return [None if i is None else str(i) for i in self.table.column(ID).to_pylist()]

    def rows(self, label: NDArray[np.int64] | NDArray[np.float64] | None = None) -> Rows:
        """Return the rows without features, with these labels."""
        answered = np.asarray(self.table.column(PREDICTION).to_numpy())
        is_class = self.schema.is_classification
        prediction = answered.astype(np.int64) if is_class else answered.astype(np.float64)
        features = pd.DataFrame(index=pd.RangeIndex(len(self)))
        return Rows(self.schema, features, prediction, scores_from_table(self.table, self.schema), label)

    def expected(self, otherwise: RowModel) -> NDArray[np.float64]:
        """Return what was expected of each row, (n, k); `otherwise` answers where that was not kept."""
        size = len(self.schema.classes) if self.schema.is_classification else COLUMNS
        names = [f"{_EXPECTED}{i}" for i in range(size)]
        if not set(names) <= set(self.table.column_names):
            return otherwise(self.rows())
        found = np.column_stack([self.table.column(name).to_numpy() for name in names]).astype(np.float64)
        if not self.schema.is_classification:
            return found
        return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-12), np.float64)

    def filter(self, mask: NDArray[np.bool_]) -> Self:
        """Return the rows where the mask is true."""
        return type(self)(self.schema, self.table.filter(pa.array(mask)))
