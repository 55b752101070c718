"""A bottom-k row sample, of a table at once or growing batch by batch, touching few rows once it is full.

Rows whose key (over weight) lies above the largest one kept can never enter, so a full sample looks at that only. Keys
are merged with each batch; rows of what may enter are collected, and merged now and then.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pandas.util import hash_pandas_object

from mlhealth.events.batch import KEY, WEIGHT, stacked
from mlhealth.profile.weighing import ranks

Keys = NDArray[np.uint64]


def bottom_k(table: pa.Table, k: int) -> pa.Table:
    """Return the rows of the k smallest distinct event keys, sorted by key; by key over weight where they have one.

    Of rows with equal keys, one stays: the heaviest; of these the one whose contents have the smallest digest, whatever
    their order.
    """
    keys, rank = np.asarray(table.column(KEY).to_numpy()), ranks(table)
    if len(keys) > 4 * k:
        near = np.flatnonzero(rank <= np.partition(rank, 2 * k)[2 * k])
        if len(np.unique(keys[near])) >= k:
            table, keys, rank = table.take(pa.array(near)), keys[near], rank[near]
    if rank.dtype == keys.dtype:
        order = np.argsort(keys)
        ordered = keys[order]
        first = _firsts(ordered)
    else:
        order = np.lexsort((keys, rank))
        ordered = keys[order]
        first = np.sort(np.unique(ordered, return_index=True)[1])
    if len(first) < len(keys):
        order = order[np.lexsort((_digests(table)[order], ordered, rank[order]))]
    return table.take(pa.array(order[first][:k])).combine_chunks()


def _firsts(ordered: Keys) -> NDArray[np.intp]:
    """Return the position of the first of equal keys, in order."""
    return np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])


def _digests(table: pa.Table) -> NDArray[np.uint64]:
    """Return a hash of each row's contents but its weight, (rows,), whatever the order of the columns."""
    frame = table.select(sorted({*table.column_names} - {WEIGHT})).to_pandas()
    return np.asarray(hash_pandas_object(frame, index=False), dtype=np.uint64)


class GrowingSample:
    """The rows of the `size` smallest distinct event keys of all rows added so far."""

    def __init__(self, size: int, table: pa.Table | None = None) -> None:
        self._size = size
        self._parts: list[pa.Table] = [] if table is None else [table]
        self._waiting = 0
        self._largest: np.uint64 | np.float64 | None = None
        self._keys: Keys | None = np.zeros(0, dtype=np.uint64)
        self._note(table)

    def add(self, table: pa.Table, rows: NDArray[np.intp] | None = None) -> None:
        """Let rows of a canonical table in: those at positions `rows`, or all."""
        rank = ranks(table) if rows is None else ranks(table)[rows]
        near = self._candidates(rank)
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

    def _candidates(self, rank: Keys | NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the positions of rows that may belong to the sample."""
        near = np.arange(len(rank)) if self._largest is None else np.flatnonzero(rank <= self._largest)
        if len(near) == 0:
            return near
        if self._keys is None or rank.dtype != np.uint64:
            self._keys = None  # where rows have weights, keys do not tell which of them stay
            return near
        merged = np.sort(np.concatenate([self._keys, rank[near]]))
        self._keys = merged[_firsts(merged)][: self._size]
        if len(self._keys) < self._size:
            return near
        self._largest = self._keys[-1]
        return near[rank[near] <= self._largest]

    def _settle(self) -> None:
        merged = bottom_k(stacked(self._parts), self._size)
        self._parts, self._waiting = [merged], 0
        self._note(merged)

    def _note(self, table: pa.Table | None) -> None:
        if table is None:
            return
        rank = ranks(table)
        self._keys = None if WEIGHT in table.column_names else np.asarray(rank, dtype=np.uint64)
        if len(rank) >= self._size:
            self._largest = rank[-1]
