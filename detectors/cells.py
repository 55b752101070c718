"""The counts of a profile's columns laid end to end, so that a statistic of all columns is a few vector operations.

A column's *cells* are the slots of its present values: below the first edge, the bins, above the last edge; or each
category, the rare ones, the unseen ones. Missing and non-finite values are counted beside them. The scores of the
model are one more column, `__score`. Arrays may carry leading axes, so that the statistics of many simulated
windows are had in one call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.profile.bins import NumericBins
from mlhealth.profile.window_profile import SCORE_BINS, ProfileLayout, WindowProfile

SCORE = "__score"
"""Name of the model's scores as a column: P(positive) of a binary model, P(predicted class) of a multiclass one."""
ENDS = 2
"""Cells outside the edges of a numeric column, one below and one above."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CellLayout:
    """Where each column's cells lie; arrays over columns are (d,), over cells (c,).

    `names`: columns. `numeric`: whether a column has an order. `starts`: its first cell. `column`: the column of
    each cell. `outside` and `unseen`: cells of values the reference's range or categories do not cover. `position`:
    where a cell's values lie on the number line: the mean of the reference sample's values in it, else its middle,
    for cells outside the edges the edge; 0 for categories. `source`: the slot of each cell in the profile's counts;
    `missing` and `non_finite`: those slots of each column, or -1. The score's cells come last and are summed over
    the predicted classes. `rare`: how many known categories of each column share a cell.
    """

    profile: ProfileLayout
    names: tuple[str, ...]
    numeric: NDArray[np.bool_]
    starts: NDArray[np.intp]
    column: NDArray[np.intp]
    outside: NDArray[np.bool_]
    unseen: NDArray[np.bool_]
    position: Floats
    source: NDArray[np.intp]
    missing: NDArray[np.intp]
    non_finite: NDArray[np.intp]
    rare: NDArray[np.intp]

    @classmethod
    def of(cls, reference: WindowProfile) -> CellLayout:
        """Return the layout of every feature, the prediction and, where the model gives scores, the score."""
        profile = reference.layout
        spans = [_span(profile, name, reference.sample) for name, _ in profile.columns]
        if profile.schema.scores:
            spans.append(_score_span())
        sizes = [len(s.outside) for s in spans]
        scores = 1 if profile.schema.scores else 0
        return cls(
            profile,
            tuple(name for name, _ in profile.columns) + (SCORE,) * scores,
            np.array([s.numeric for s in spans]),
            np.cumsum([0, *sizes[:-1]]).astype(np.intp),
            np.repeat(np.arange(len(spans)), sizes),
            np.concatenate([s.outside for s in spans]),
            np.concatenate([s.unseen for s in spans]),
            np.concatenate([s.position for s in spans]),
            np.concatenate([s.source for s in spans]),
            np.array([s.missing for s in spans], dtype=np.intp),
            np.array([s.non_finite for s in spans], dtype=np.intp),
            np.array([s.rare for s in spans], dtype=np.intp),
        )

    def sums(self, values: Floats) -> Floats:
        """Return the sum over each column's cells: (..., c) to (..., d)."""
        return np.add.reduceat(values, self.starts, axis=-1)

    def maxima(self, values: Floats) -> Floats:
        """Return the largest of each column's cells: (..., c) to (..., d)."""
        return np.maximum.reduceat(values, self.starts, axis=-1)


@dataclass(frozen=True, eq=False)
class Cells:
    """Counts of one window, or of many: `counts` (..., c); `missing` and `non_finite` (..., d)."""

    layout: CellLayout
    counts: Floats
    missing: Floats
    non_finite: Floats

    @classmethod
    def of(cls, window: WindowProfile, layout: CellLayout) -> Cells:
        """Return the cells of a profile."""
        counts = window.counts.astype(np.float64)
        cells = counts[layout.source]
        if layout.names[-1] == SCORE:
            cells[-SCORE_BINS:] = window.scores.sum(axis=0)
        none = np.append(counts, 0.0)
        return cls(layout, cells, none[layout.missing], none[layout.non_finite])

    @cached_property
    def present(self) -> Floats:
        """Number of present, finite values of each column, (..., d)."""
        return self.layout.sums(self.counts)

    @cached_property
    def rows(self) -> Floats:
        """Number of values of each column, present or not, (..., d)."""
        return self.present + self.missing + self.non_finite

    @cached_property
    def shares(self) -> Floats:
        """Share of each cell among its column's present values, (..., c); 0 where a column has none."""
        return self.counts / np.maximum(self.present, 1.0)[..., self.layout.column]

    @cached_property
    def smoothed(self) -> Floats:
        """Shares with half a count added to each cell (Jeffreys), (..., c): never 0."""
        counts = self.counts + 0.5
        return counts / self.layout.sums(counts)[..., self.layout.column]

    @cached_property
    def comparable(self) -> NDArray[np.bool_]:
        """Whether a column has any present value, (..., d)."""
        return self.present > 0.0


@dataclass(frozen=True)
class _Span:
    """One column's part of a `CellLayout`."""

    numeric: bool
    outside: NDArray[np.bool_]
    unseen: NDArray[np.bool_]
    position: Floats
    source: NDArray[np.intp]
    missing: int
    non_finite: int
    rare: int = 0


def _span(profile: ProfileLayout, name: str, sample: pa.Table | None) -> _Span:
    bins, at = profile.bins[name], profile.slices[name]
    if isinstance(bins, NumericBins):
        cells = len(bins.edges) - 1 + ENDS
        ends = np.zeros(cells, dtype=bool)
        ends[[0, -1]] = True
        position = _positions(bins, None if sample is None else sample.column(name).to_numpy())
        source = np.arange(at.start, at.start + cells)
        none = np.zeros(cells, dtype=bool)
        return _Span(True, ends, none, position, source, at.stop - 2, at.stop - 1)
    cells = bins.size - 1
    unseen = np.zeros(cells, dtype=bool)
    unseen[-1] = True
    none = np.zeros(cells, dtype=bool)
    source = np.arange(at.start, at.start + cells)
    return _Span(False, none, unseen, np.zeros(cells), source, at.stop - 1, -1, len(bins.rare))


def _positions(bins: NumericBins, values: NDArray[np.generic] | None) -> Floats:
    edges = np.asarray(bins.edges)
    position = np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2.0, edges[-1:]])
    if values is None:
        return position
    finite = values[np.isfinite(values)].astype(np.float64)
    slots = bins.slots(finite)
    count = np.bincount(slots, minlength=len(position))[: len(position)]
    total = np.bincount(slots, weights=finite, minlength=len(position))[: len(position)]
    inside = count > 0
    inside[[0, -1]] = False
    return np.where(inside, total / np.maximum(count, 1), position)


def _score_span() -> _Span:
    none = np.zeros(SCORE_BINS, dtype=bool)
    position = (np.arange(SCORE_BINS) + 0.5) / SCORE_BINS
    return _Span(True, none, none, position, np.zeros(SCORE_BINS, dtype=np.intp), -1, -1)
