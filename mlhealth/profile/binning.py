"""Slots of many numeric columns at once: one pass over a matrix instead of a binary search per value.

The range of a column's edges is cut into equal cells. A value's cell, a multiplication away, says how many edges lie
before it; the few edges inside the cell are compared one after another. Cell and edges are computed by the same
monotone arithmetic, so the slots are exactly those of `NumericBins.slots`, whatever the rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhealth.profile.bins import NumericBins

_CELLS = (256, 512, 1024, 2048, 4096)
_COMPARED = 2
"""How many edges a cell may hold."""


@dataclass(frozen=True)
class _Grid:
    """One column's cells: cell of v = (v - low) * scale; `before`: edges before each cell."""

    low: float
    scale: float
    before: NDArray[np.int64]


class Binning:
    """The bins of some numeric columns, in order; column j's slots are numbered from `starts[j]` on."""

    def __init__(self, bins: Sequence[NumericBins], starts: Sequence[int]) -> None:
        self._starts = np.asarray(starts, dtype=np.int64)
        self._ends = self._starts + np.array([b.size for b in bins], dtype=np.int64)
        ends = [b.least for b in bins]
        grids = [_grid(t) for t in ends]
        self._sought = [j for j, grid in enumerate(grids) if grid is None]
        self._thresholds_of = {j: ends[j] for j in self._sought}
        kept = [grid or _Grid(0.0, 0.0, np.zeros(1, dtype=np.int64)) for grid in grids]
        sizes = np.array([len(grid.before) for grid in kept], dtype=np.int64)
        widths = np.array([len(t) + _COMPARED for t in ends], dtype=np.int64)
        offsets: NDArray[np.int64] = np.cumsum(widths) - widths
        self._low = _upright([grid.low for grid in kept])
        self._scale = _upright([grid.scale for grid in kept])
        self._last = _upright([float(size - 1) for size in sizes])
        self._cells_from: NDArray[np.int64] = (np.cumsum(sizes) - sizes)[:, np.newaxis]
        pairs = list(zip(kept, offsets, strict=True))
        self._before = _joined([grid.before + offset for grid, offset in pairs]).astype(np.int32)
        self._thresholds = _joined([np.r_[t, np.full(_COMPARED, np.inf)] for t in ends])
        self._to_slot = (self._starts - offsets)[:, np.newaxis]

    def slots(self, values: NDArray[np.float64], odd: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the slot of each value, shape (columns, n), as `values`; `odd` marks those that are not finite."""
        with np.errstate(over="ignore", invalid="ignore"):
            place = values - self._low
            np.multiply(place, self._scale, out=place)
        np.fmax(place, 0.0, out=place)
        np.fmin(place, self._last, out=place)
        cell = place.astype(np.int64) + self._cells_from
        slot: NDArray[np.int64] = self._before.take(cell).astype(np.int64)
        for _ in range(_COMPARED):
            slot += values >= self._thresholds.take(slot)
        slot += self._to_slot
        for j in self._sought:
            found = np.searchsorted(self._thresholds_of[j], values[j], side="right")
            slot[j] = found + self._starts[j]
        self._place_odd(slot, values, odd)
        return slot

    def _place_odd(
        self, slot: NDArray[np.int64], values: NDArray[np.float64], odd: NDArray[np.bool_]
    ) -> None:
        places = np.flatnonzero(odd.ravel())
        if len(places) == 0:
            return
        column = places // max(odd.shape[1], 1)
        back = np.where(np.isnan(values.ravel()[places]), NumericBins.missing, NumericBins.non_finite)
        slot.ravel()[places] = self._ends[column] + back


def _grid(thresholds: NDArray[np.float64]) -> _Grid | None:
    """Return the coarsest cells that hold few enough thresholds each, or None where they are too uneven."""
    low = float(thresholds[0])
    with np.errstate(all="ignore"):
        width = float(thresholds[-1]) - low
        for cells in _CELLS:
            scale = float(np.float64(cells) / width)
            if not (np.isfinite(scale) and scale > 0):
                return None
            cell = np.minimum((thresholds - low) * scale, cells - 1.0).astype(np.int64)
            if np.bincount(cell).max() <= _COMPARED:
                return _Grid(low, scale, np.searchsorted(cell, np.arange(cells)).astype(np.int64))
    return None


def _upright(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)[:, np.newaxis]


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0)
