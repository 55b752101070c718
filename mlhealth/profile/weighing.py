"""Rows of a sampled log: each stands for so many events of the traffic, its weight (1 / its chance to be logged).

A weighed window is two things. Its counts are Horvitz-Thompson totals, added up in fixed point, so that they merge
exactly. Its row sample is a priority sample: the rows whose hashed key over weight is least. What judges a window sees
neither: it gets counts scaled to the *effective rows* n = (Σw)² / Σw² (Kish 1965; so that tests keep their size, Rao
and Scott 1981), and rows drawn from the sample so that each stands for as many events as any other. Of rows that all
weigh the same, n is their number, and counts and sample are what they would be without weights.

Sources: Horvitz and Thompson (1952), "A generalization of sampling without replacement from a finite universe";
Duffield, Lund and Thorup (2007), "Priority sampling for estimation of arbitrary subset sums".
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.events.batch import KEY, WEIGHT
from mlhealth.events.keys import mix

UNIT = 65_536
"""Weights are added up as whole numbers of 1/65,536."""
_KEYS = 2.0**64
_LOW_BITS = 18
_SALT = np.uint64(0x5DEECE66D1B2A3C4)
"""Makes the draw of rows independent of the key's own hash, by which they came into the sample."""


@dataclass(frozen=True)
class Weighing:
    """What the rows of a profile stand for: Σw and Σw² in units of 1/UNIT and its square; weighed counts likewise."""

    total: int
    squares: int
    counts: NDArray[np.int64] = field(repr=False)

    @classmethod
    def of(cls, weights: NDArray[np.int64], counts: NDArray[np.int64]) -> Weighing:
        """Return the weighing of rows with these weights in units, (rows,), and these weighed counts."""
        high, low = weights >> _LOW_BITS, weights & ((1 << _LOW_BITS) - 1)
        # by halves, so that no product overflows
        squares = (int(high @ high) << 2 * _LOW_BITS) + (int(high @ low) << _LOW_BITS + 1) + int(low @ low)
        return cls(int(weights.sum()), squares, counts)

    @classmethod
    def of_ones(cls, rows: int, counts: NDArray[np.int64]) -> Weighing:
        """Return the weighing of rows that stand for themselves alone."""
        return cls(rows * UNIT, rows * UNIT * UNIT, counts * UNIT)

    def merge(self, other: Weighing) -> Weighing:
        """Return the weighing of both profiles' rows together."""
        return Weighing(self.total + other.total, self.squares + other.squares, self.counts + other.counts)

    @property
    def events(self) -> int:
        """Estimated number of events that the rows stand for."""
        return (2 * self.total + UNIT) // (2 * UNIT)

    @property
    def effective_rows(self) -> int:
        """So many rows that all weigh the same would say as much."""
        return (2 * self.total**2 + self.squares) // (2 * self.squares) if self.squares else 0

    @property
    def effective_counts(self) -> NDArray[np.int64]:
        """The counts that so many rows would have; those of each column still add up to the effective rows."""
        if not self.total:
            return np.zeros_like(self.counts)
        edges = np.rint(np.cumsum(self.counts) * (self.effective_rows / self.total)).astype(np.int64)
        return np.asarray(np.diff(edges, prepend=0), dtype=np.int64)


def units(table: pa.Table) -> NDArray[np.int64] | None:
    """Return each row's weight in units of 1/UNIT, (rows,); None where rows have no weights."""
    if WEIGHT not in table.column_names:
        return None
    weights = table.column(WEIGHT).to_numpy() * UNIT
    return np.asarray(np.maximum(np.rint(weights), 1.0), dtype=np.int64)


def ranks(table: pa.Table) -> NDArray[np.uint64] | NDArray[np.float64]:
    """Return by what the rows of a sample are chosen, (rows,), the least first: key over weight."""
    keys = np.asarray(table.column(KEY).to_numpy(), dtype=np.uint64)
    return keys if WEIGHT not in table.column_names else keys / table.column(WEIGHT).to_numpy()


def standing(sample: pa.Table, most: int) -> pa.Table:
    """Return a sample, of at most `most` rows, with what each row stands for as its weight.

    While all rows are in the sample, that is their own weight. Afterwards rows lighter than the threshold stand for
    those left out: for `_KEYS` over the largest rank, whose row makes the threshold and drops out (Duffield et al.).
    """
    if WEIGHT not in sample.column_names or sample.num_rows < most or _are_equal(_weights(sample)):
        return sample
    threshold = _KEYS / float(ranks(sample)[-1])
    kept = sample.slice(0, sample.num_rows - 1)
    stands = np.maximum(_weights(kept), threshold)
    return kept.set_column(kept.column_names.index(WEIGHT), WEIGHT, pa.array(stands))


def staying(table: pa.Table) -> NDArray[np.bool_]:
    """Return which rows to keep, (rows,), so that all that are kept stand for equally many events.

    A row stays with a probability in proportion to its weight, the heaviest surely, by a hash of its key.
    """
    if WEIGHT not in table.column_names or _are_equal(_weights(table)):
        return np.ones(table.num_rows, dtype=np.bool_)
    weights, keys = _weights(table), np.asarray(table.column(KEY).to_numpy(), dtype=np.uint64)
    return np.asarray(mix(keys ^ _SALT) / _KEYS < weights / weights.max(), dtype=np.bool_)


def thinned(sample: pa.Table) -> pa.Table:
    """Return the rows of a sample that stay, without weights, by ascending key; itself where rows have none."""
    if WEIGHT not in sample.column_names:
        return sample
    kept = sample.filter(pa.array(staying(sample))).drop_columns([WEIGHT])
    return kept.take(pa.array(np.argsort(kept.column(KEY).to_numpy(), kind="stable"))).combine_chunks()


def _weights(table: pa.Table) -> NDArray[np.float64]:
    return np.asarray(table.column(WEIGHT).to_numpy(), dtype=np.float64)


def _are_equal(weights: NDArray[np.float64]) -> bool:
    return len(weights) == 0 or bool((weights == weights[0]).all())
