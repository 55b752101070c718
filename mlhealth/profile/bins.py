"""The fixed bins of one column: how its values become counts that add up over any split of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True)
class NumericBins:
    """Half-open bins [e0, e1) ... [e(m-1), em] of one numeric column.

    Its counts, (m + 4,): underflow, the m bins, overflow, missing, non-finite.
    """

    edges: tuple[float, ...]

    @property
    def size(self) -> int:
        """Number of slots."""
        return len(self.edges) + 3

    @property
    def regular(self) -> slice:
        """Slots of values inside the edges."""
        return slice(1, len(self.edges))

    underflow: ClassVar[int] = 0
    overflow: ClassVar[int] = -3
    missing: ClassVar[int] = -2
    non_finite: ClassVar[int] = -1

    @cached_property
    def _edges(self) -> NDArray[np.float64]:
        return np.asarray(self.edges, dtype=np.float64)

    @cached_property
    def least(self) -> NDArray[np.float64]:
        """The least value of each slot but the first, (m + 1,): the last bin holds its upper edge too."""
        with np.errstate(over="ignore"):
            after = np.nextafter(self._edges[-1], np.inf)
        return np.append(self._edges[:-1], after)

    def slots(self, values: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the slot of each of `values`, shape (n,)."""
        slot = np.searchsorted(self._edges, values, side="right")
        slot[values == self._edges[-1]] = len(self.edges) - 1
        odd = ~np.isfinite(values)
        if odd.any():
            slot[odd] = np.where(np.isnan(values[odd]), self.size - 2, self.size - 1)
        return np.asarray(slot)

    def count(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return how many of `values`, shape (n,), fall in each slot, shape (size,)."""
        return np.bincount(self.slots(values), minlength=self.size).astype(np.int64)


@dataclass(frozen=True)
class CategoryBins:
    """The categories of one column as canonical texts: the frequent ones by name, the `rare` ones together.

    Its counts, (m + 3,): each category, other (a rare one), unseen (any other text), missing.
    """

    categories: tuple[str, ...]
    rare: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of slots."""
        return len(self.categories) + 3

    @property
    def regular(self) -> slice:
        """Slots of texts that the reference has: each category and `other`."""
        return slice(0, len(self.categories) + 1)

    other: ClassVar[int] = -3
    unseen: ClassVar[int] = -2
    missing: ClassVar[int] = -1

    @cached_property
    def _known(self) -> pa.Array:
        return pa.array(self.categories + self.rare, type=pa.string())

    @cached_property
    def _slot_of_known(self) -> NDArray[np.intp]:
        """Slot of each known text, and of all others."""
        m = len(self.categories)
        return np.array([*range(m), *(m for _ in self.rare), m + 1], dtype=np.intp)

    def slots(self, values: pa.ChunkedArray | pa.Array) -> NDArray[np.intp]:
        """Return the slot of each of `values`, a text column of n rows, shape (n,)."""
        known = pc.fill_null(pc.index_in(values, value_set=self._known), len(self._known))
        slot = self._slot_of_known.take(known.to_numpy())
        if values.null_count:
            slot[values.is_null().to_numpy(zero_copy_only=False)] = self.size - 1
        return np.asarray(slot)

    def count(self, values: pa.ChunkedArray | pa.Array) -> NDArray[np.int64]:
        """Return how many of `values`, a text column, fall in each slot, shape (size,)."""
        return np.bincount(self.slots(values), minlength=self.size).astype(np.int64)


Bins = NumericBins | CategoryBins
