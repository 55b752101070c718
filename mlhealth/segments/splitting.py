"""Columns by which traffic is told apart: their most frequent values get windows of their own, all others share one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mlhealth.baseline.record import Baseline

OTHER = "(other)"
"""The segment of values that are missing or not among a column's most frequent ones."""


@dataclass(frozen=True)
class SegmentColumn:
    """A column by which traffic is told apart, and its values that get profiles of their own."""

    name: str
    values: tuple[str, ...]

    @property
    def segments(self) -> tuple[str, ...]:
        """Names of the segments, the one of all other values last."""
        return tuple(f"{self.name}={value}" for value in (*self.values, OTHER))

    def codes(self, table: pa.Table) -> NDArray[np.int64]:
        """Return for each row the position of its segment in `segments`, shape (rows,)."""
        found = pc.index_in(table.column(self.name), value_set=pa.array(self.values, type=pa.string()))
        return np.asarray(
            pc.fill_null(found, len(self.values)).to_numpy(zero_copy_only=False), dtype=np.int64
        )


def segment_columns(baseline: Baseline, wanted: Sequence[str], most: int) -> tuple[SegmentColumn, ...]:
    """Return the wanted columns that the model has as text, with their `most` most frequent reference values."""
    texts = {*baseline.schema.segments, *baseline.schema.categorical}
    return tuple(_column(baseline, name, most) for name in wanted if name in texts)


def _column(baseline: Baseline, name: str, most: int) -> SegmentColumn:
    """Return the column with its most frequent values in the reference rows, the same on every worker."""
    counts = pc.value_counts(baseline.rows.column(name)).to_pylist()
    known = sorted((-c["counts"], c["values"]) for c in counts if c["values"] is not None)
    return SegmentColumn(name, tuple(value for _, value in known[:most]))
