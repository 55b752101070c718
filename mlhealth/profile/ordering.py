"""Counts and moments of numeric columns by sorting: not every value's bin is looked for, but every edge's place.

numpy sorts with the vector instructions of AVX2, AVX-512 and NEON; where it does, this takes a third of the time of
finding slots (`binning`), and what is not finite lies at the ends of the sorted values.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mlhealth.profile.bins import NumericBins

LEAST_ROWS = 1_024
"""With fewer rows, what is done once per column outweighs the sorting."""
_BLOCK = 8_192
"""Values sorted at once: no more than the processor's cache holds."""
_WORTH = 10e-9
"""Seconds that sorting may take per value, to be the faster way."""


class Ordering:
    """The bins of some numeric columns, in order; the slots of column j begin at `starts[j]`."""

    def __init__(self, bins: Sequence[NumericBins], starts: Sequence[int]) -> None:
        self._columns = [(slice(at, at + b.size), _sought(b)) for b, at in zip(bins, starts, strict=True)]

    def add(
        self, columns: Sequence[NDArray[np.float64]], counts: NDArray[np.int64], moments: NDArray[np.float64]
    ) -> None:
        """Add the values of each column, (n,), to a group's `counts`, (size,), and `moments`, (columns, 4)."""
        room = np.empty(_BLOCK)
        with np.errstate(over="ignore", invalid="ignore"):
            for (slots, sought), values, moment in zip(self._columns, columns, moments, strict=True):
                for first in range(0, len(values), _BLOCK):
                    block = values[first : first + _BLOCK]
                    ordered = room[: len(block)]
                    ordered[:] = block
                    ordered.sort()
                    _add(ordered, sought, counts[slots], moment)


def _sought(bins: NumericBins) -> NDArray[np.float64]:
    """Return the least value of each slot but the one of missing values: finite ones, infinity, NaN."""
    least = np.finfo(np.float64).min
    return np.concatenate([[least], bins.least, [np.inf, np.nan]])


def _add(
    ordered: NDArray[np.float64],
    sought: NDArray[np.float64],
    counts: NDArray[np.int64],
    moment: NDArray[np.float64],
) -> None:
    before = ordered.searchsorted(sought)
    first, last, known = int(before[0]), int(before[-2]), int(before[-1])
    counts[:-2] += before[1:-1] - before[:-2]
    counts[NumericBins.missing] += len(ordered) - known
    counts[NumericBins.non_finite] += first + known - last
    finite = ordered[first:last]
    if len(finite):
        moment[0] += np.add.reduce(finite)
        moment[1] += finite.dot(finite)
        moment[2] = min(moment[2], finite[0])
        moment[3] = max(moment[3], finite[-1])


@cache
def is_worth_it() -> bool:
    """Whether this processor sorts fast enough; the counts are the same either way."""
    values = np.random.default_rng(0).normal(size=4_096)
    spent = []
    for _ in range(5):
        began = time.perf_counter()
        np.sort(values)
        spent.append(time.perf_counter() - began)
    return min(spent) < _WORTH * len(values)
