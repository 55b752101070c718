"""Counts and moments of many groups of a batch's rows at once: windows, partitions and segments in one pass.

Every value's slot is found once, whatever the number of groups; a group's counts are then a bin count of slots
shifted by the group. Rows are taken in blocks small enough for the processor's cache. Where few groups have many rows
each, their values are sorted instead (`ordering`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlhealth.events.batch import EventBatch
from mlhealth.profile.binning import Binning
from mlhealth.profile.bins import CategoryBins, NumericBins
from mlhealth.profile.ordering import LEAST_ROWS, Ordering, is_worth_it

_BLOCK_VALUES = 80_000
"""Values per block: with the temporaries made of them, about what the processor's cache holds."""
_LEAST_ROWS = 512


@dataclass(frozen=True)
class Grouping:
    """Which group each row belongs to: `codes`, shape (rows,), from 0 up to before `groups`."""

    codes: NDArray[np.int64]
    groups: int

    @cached_property
    def parts(self) -> list[tuple[int, slice | NDArray[np.intp]]]:
        """Each group that has rows, and where they are."""
        first = int(self.codes[0])
        if self.groups == 1 or (self.codes == first).all():
            return [(first, slice(None))]
        present = np.flatnonzero(np.bincount(self.codes, minlength=self.groups)).tolist()
        return [(group, np.flatnonzero(self.codes == group)) for group in present]


@dataclass(frozen=True)
class Tally:
    """What `groups` groups hold: `rows` (groups,), `counts` (groups, size), `moments` (groups, numeric, 4).

    `weighed`: counts in which a row counts by its weight, (groups, size); None where rows have none.
    """

    rows: NDArray[np.int64]
    counts: NDArray[np.int64]
    moments: NDArray[np.float64]
    weighed: NDArray[np.int64] | None = None

    @classmethod
    def empty(cls, groups: int, size: int, numeric: int, *, is_weighed: bool = False) -> Tally:
        """Return the tally of no rows."""
        moments = np.tile(np.array([0.0, 0.0, np.inf, -np.inf]), (groups, numeric, 1))
        counts = np.zeros((groups, size), dtype=np.int64)
        return cls(
            np.zeros(groups, dtype=np.int64), counts, moments, np.zeros_like(counts) if is_weighed else None
        )


class Counter:
    """Counts rows by a layout's columns: `starts[i]` is where the slots of `columns[i]` begin, of `size` in all."""

    def __init__(
        self, columns: Sequence[tuple[str, NumericBins | CategoryBins]], starts: Sequence[int], size: int
    ) -> None:
        placed = list(zip(columns, starts, strict=True))
        numeric = [(name, bins, at) for (name, bins), at in placed if isinstance(bins, NumericBins)]
        self._numeric = [name for name, _, _ in numeric]
        self._categorical = [
            (name, bins, at) for (name, bins), at in placed if isinstance(bins, CategoryBins)
        ]
        bins, at = [bins for _, bins, _ in numeric], [at for _, _, at in numeric]
        self._binning, self._ordering = Binning(bins, at), Ordering(bins, at)
        self._size = size

    def of(
        self,
        batch: EventBatch,
        extra: Sequence[NDArray[np.int64]],
        groupings: Sequence[Grouping],
        weights: NDArray[np.int64] | None = None,
    ) -> list[Tally]:
        """Return one tally per grouping; `extra` has slots that the caller found, each of shape (rows,).

        `weights`: how much each row counts in `Tally.weighed`, (rows,), at most 2**36.
        """
        columns = [batch.array(name).astype(np.float64, copy=False) for name in self._numeric]
        texts = [bins.slots(batch.table.column(name)) + at for name, bins, at in self._categorical]
        others = [*texts, *extra]
        is_weighed = weights is not None
        if not is_weighed and len(groupings) == 1 and _is_coarse(groupings[0], batch.rows):
            return [self._ordered(columns, others, groupings[0])]
        out = [Tally.empty(g.groups, self._size, len(columns), is_weighed=is_weighed) for g in groupings]
        step = max(_BLOCK_VALUES // max(len(columns), 1), _LEAST_ROWS)
        for first in range(0, batch.rows, step):
            rows = slice(first, min(first + step, batch.rows))
            values, slots = self._block([c[rows] for c in columns], [o[rows] for o in others])
            for grouping, tally in zip(groupings, out, strict=True):
                _add(tally, grouping.codes[rows], (values, slots))
                if weights is not None:
                    _weigh(tally, grouping.codes[rows], slots, weights[rows])
        return out

    def _ordered(
        self, columns: Sequence[NDArray[np.float64]], others: Sequence[NDArray[np.int64]], grouping: Grouping
    ) -> Tally:
        tally = Tally.empty(grouping.groups, self._size, len(columns))
        for group, rows in grouping.parts:
            tally.rows[group] += len(grouping.codes[rows])
            counts = tally.counts[group]
            self._ordering.add([column[rows] for column in columns], counts, tally.moments[group])
            for slots in others:
                found = np.bincount(slots[rows])
                counts[: len(found)] += found
        return tally

    def _block(
        self, columns: Sequence[NDArray[np.float64]], others: Sequence[NDArray[np.int64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the numeric values, (numeric, n), with NaN for those not finite, and all slots, (columns, n)."""
        n = len(columns[0]) if columns else len(others[0])
        values = np.empty((len(columns), n))
        for row, column in zip(values, columns, strict=True):
            row[:] = column
        odd = ~np.isfinite(values)
        parts = [self._binning.slots(values, odd)] if columns else []
        parts += [np.asarray(o, dtype=np.int64)[np.newaxis] for o in others]
        values.ravel()[np.flatnonzero(odd.ravel())] = np.nan
        return values, np.concatenate(parts)


def _is_coarse(grouping: Grouping, rows: int) -> bool:
    """Whether the rows lie in so few groups that sorting each is the faster way."""
    return rows >= LEAST_ROWS and rows >= LEAST_ROWS * len(grouping.parts) and is_worth_it()


def _add(
    tally: Tally,
    codes: NDArray[np.int64],
    block: tuple[NDArray[np.float64], NDArray[np.int64]],
) -> None:
    values, slots = block
    size = tally.counts.shape[1]
    if (codes == codes[0]).all():
        group = int(codes[0])
        tally.rows[group] += len(codes)
        tally.counts[group] += np.bincount(slots.ravel(), minlength=size)
        _add_moments(tally, group, values)
        return
    present, own, rows = np.unique(codes, return_inverse=True, return_counts=True)
    tally.rows[present] += rows
    found = np.bincount((slots + own * size).ravel(), minlength=len(present) * size)
    tally.counts[present] += found.reshape(len(present), size)
    ordered = values[:, np.argsort(own, kind="stable")]
    for group, last, n in zip(present.tolist(), np.cumsum(rows).tolist(), rows.tolist(), strict=True):
        _add_moments(tally, group, ordered[:, last - n : last])


def _weigh(
    tally: Tally, codes: NDArray[np.int64], slots: NDArray[np.int64], weights: NDArray[np.int64]
) -> None:
    """Add rows to the weighed counts; sums of a block's whole numbers are exact in floats."""
    assert tally.weighed is not None
    size = tally.counts.shape[1]
    present, own = np.unique(codes, return_inverse=True)
    places = (slots + own * size).ravel()
    heavy = np.broadcast_to(weights, slots.shape).ravel()
    found = np.bincount(places, weights=heavy, minlength=len(present) * size)
    tally.weighed[present] += found.astype(np.int64).reshape(len(present), size)


def _add_moments(tally: Tally, group: int, values: NDArray[np.float64]) -> None:
    """Add sums, sums of squares, least and greatest finite values of a group; others are NaN in `values`."""
    if len(values) == 0:
        return
    moments = tally.moments[group]
    moments[:, 2] = np.fmin(moments[:, 2], np.fmin.reduce(values, axis=1))
    moments[:, 3] = np.fmax(moments[:, 3], np.fmax.reduce(values, axis=1))
    finite = np.where(np.isnan(values), 0.0, values)
    with np.errstate(over="ignore"):
        moments[:, 0] += finite.sum(axis=1)
        moments[:, 1] += np.einsum("ij,ij->i", finite, finite)
