"""A bottom-k row sample that grows batch by batch, touching few rows once it is full.

Rows whose key lies above the largest one kept can never enter, so a full sample looks at their keys only; what may
enter is collected and merged now and then.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.events.batch import KEY
from mlhealth.profile.window_profile import bottom_k


class GrowingSample:
    """The rows of the `size` smallest distinct event keys of all rows added so far."""

    def __init__(self, size: int, table: pa.Table | None = None) -> None:
        self._size = size
        self._parts: list[pa.Table] = [] if table is None else [table]
        self._waiting = 0
        self._largest: np.uint64 | None = None
        self._note(table)

    def add(self, table: pa.Table, rows: NDArray[np.intp] | None = None) -> None:
        """Let rows of a canonical table in: those at positions `rows`, or all."""
        keys = np.asarray(table.column(KEY).to_numpy(), dtype=np.uint64)
        mine = keys if rows is None else keys[rows]
        near = self._candidates(mine)
        if len(near) == 0:
            return
        if len(near) < table.num_rows:
            table = table.take(pa.array(near if rows is None else rows[near]))
        self._parts.append(table)
        self._waiting += table.num_rows
        if self._waiting >= self._size:
            self._settle()

    @property
    def table(self) -> pa.Table | None:
        """The sample, sorted by key; None where no row came."""
        if self._waiting:
            self._settle()
        return self._parts[0] if self._parts else None

    def _candidates(self, keys: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Return the positions of rows that may belong to the sample."""
        if self._largest is not None:
            return np.flatnonzero(keys <= self._largest)
        if len(keys) <= 4 * self._size:
            return np.arange(len(keys))
        near = np.flatnonzero(keys <= np.partition(keys, 2 * self._size)[2 * self._size])
        return near if len(np.unique(keys[near])) >= self._size else np.arange(len(keys))

    def _settle(self) -> None:
        merged = bottom_k(pa.concat_tables(self._parts), self._size)
        self._parts, self._waiting = [merged], 0
        self._note(merged)

    def _note(self, table: pa.Table | None) -> None:
        if table is not None and table.num_rows >= self._size:
            self._largest = np.uint64(table.column(KEY)[-1].as_py())
