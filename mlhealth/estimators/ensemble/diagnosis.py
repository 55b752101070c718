"""What was done to a column of a window: a sparse mixture of operators, fitted by the method of moments.

The window's column is a mixture: most rows as the reference has them, a fraction q_g treated by operator g. Moments of
bounded functions of the value, alone and times what the other columns say the value should be, are linear in the q:
m(window) - m(reference) = sum of q_g (m(g(reference)) - m(reference)). The q are found by non-negative least squares
over a dictionary of operators, one operator at a time, as long as each explains clearly more than noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

from mlhealth.estimators.ensemble.operators import Operator, Source, Values

Floats = NDArray[np.float64]
BINS = 24
ATOMS, ATOM = 3, 0.1
"""Values of a window that are cells of their own: how many, and from which share of the rows."""
LEAST_GAIN = 14.0
"""Drop in the chi-square sum below which one more operator is not worth it."""


@dataclass(frozen=True)
class Column:
    """One column of reference and window, with what other columns expect of each value (`hint`, (n,))."""

    name: str
    source: Source
    source_hint: Floats
    source_weight: Floats
    window: Values
    window_hint: Floats


@dataclass(frozen=True)
class Treated:
    """The fitted mixture of one column: operators with their fractions, and chi-square before and after.

    `after` has in it what the operators' freedom costs. `chance`: chi-square that sampling alone leaves. `sure`:
    whether no drift looks like this.
    """

    name: str
    operators: tuple[tuple[Operator, float], ...]
    before: float
    after: float
    chance: float
    sure: bool = False

    @property
    def explained(self) -> float:
        """Share of the column's misfit beyond chance that the operators explain, 0 to 1."""
        return 1.0 - max(self.after - self.chance, 0.0) / max(self.before - self.chance, 1.0)


class Moments:
    """Bounded functions of one column's value, times (1, hint, hint^2 - 1), with the noise of their means."""

    def __init__(self, column: Column) -> None:
        self._edges, self._categories = _cells(column)
        self.target = self._mean(column.window, column.window_hint, None)
        self.start = self._mean(column.source.values, column.source_hint, column.source_weight)
        self._column = column
        self.noise = self._noise()

    def of(self, treated: Values) -> Floats:
        """Return the mean moments of treated reference rows."""
        return self._mean(treated, self._column.source_hint, self._column.source_weight)

    def shuffled(self) -> Floats:
        """Return the expected moments of reference rows whose values were shuffled: free of a shuffle's own noise."""
        hint, weight = self._column.source_hint, self._column.source_weight
        means = [
            1.0,
            float(np.average(hint, weights=weight)),
            float(np.average(hint**2 - 1.0, weights=weight)),
        ]
        return np.concatenate([self.start[: self.size] * mean for mean in means])

    def cells(self, values: Values) -> NDArray[np.intp]:
        """Return each value's cell, (n,): a bin or a category; the last one is missing."""
        if self._categories is not None:
            place = self._categories.get_indexer(pd.Index(values, dtype=object))
            place = np.where(place < 0, len(self._categories), place)
            return np.where(pd.isna(values), len(self._categories) + 1, place)
        numbers = values.astype(float)
        slot = np.searchsorted(self._edges, numbers, side="right")
        return np.where(np.isnan(numbers), len(self._edges) + 1, slot)

    @property
    def size(self) -> int:
        """Number of cells."""
        return len(self._edges if self._categories is None else self._categories) + 2

    def _mean(self, values: Values, hint: Floats, weight: Floats | None) -> Floats:
        cells, w = self.cells(values), np.ones(len(values)) if weight is None else weight
        powers = (np.ones(len(values)), hint, hint**2 - 1.0)
        total = w.sum()
        return np.concatenate([np.bincount(cells, w * p, self.size) / total for p in powers])

    def _noise(self) -> Floats:
        """Return the variance of each window moment less reference moment, under either's shares."""
        n, w = len(self._column.window), self._column.source_weight
        rows = 1.0 / n + (w**2).sum() / w.sum() ** 2
        share = np.maximum(self.target[: self.size], self.start[: self.size])
        least = 1.0 / (n + len(w))
        counted = np.maximum(share * (1 - share), least)
        times_hint = np.maximum(share, least)
        return np.asarray(np.concatenate([counted, times_hint, 2.0 * times_hint]) * rows, np.float64)


def _cells(column: Column) -> tuple[Floats, pd.Index[str] | None]:
    """Return bin edges of a numeric column over both samples, or the categories that are cells of their own."""
    if column.source.values.dtype == object:
        counts = pd.Series(np.concatenate([column.source.values, column.window])).value_counts().sort_index()
        names = counts.index[np.argsort(-counts.to_numpy(), kind="stable")][: BINS - 1]
        return np.zeros(0), pd.Index(names, dtype=object)
    samples = (column.source.values.astype(float), column.window.astype(float))
    old, new = (values[~np.isnan(values)] for values in samples)
    return np.unique(np.concatenate([_edges(old), _edges(new), _borders(new)])), None


def _borders(values: Floats) -> Floats:
    """Return edges around the window's most frequent values, so that each is a cell alone, and well off its range.

    Without them a column stuck at -999 would share its cell with anything below the least reference value.
    """
    if len(values) == 0:
        return values
    distinct, counts = np.unique(values, return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:ATOMS]
    atoms = distinct[frequent[counts[frequent] > ATOM * len(values)]]
    low, high = distinct[0], distinct[-1]
    far = np.array([low - (high - low), high + (high - low)]) if high > low else np.zeros(0)
    return np.concatenate([atoms, np.nextafter(atoms, np.inf), far])


def _edges(values: Floats) -> Floats:
    """Return quantiles of the values, and of those beside a value that takes up most of the column."""
    if len(values) == 0:
        return values
    levels = np.linspace(0.0, 1.0, BINS // 2 + 1)[1:-1]
    middle = np.median(values)
    beside = values[values != middle]
    parts = [np.quantile(values, levels, method="inverted_cdf")]
    if 0 < len(beside) < 0.7 * len(values):
        parts.append(np.quantile(beside, np.linspace(0.0, 1.0, 7)[:-1], method="inverted_cdf"))
    return np.concatenate(parts)


def diagnose(
    column: Column, dictionary: Sequence[Operator], rng: np.random.Generator, most: int = 3
) -> Treated:
    """Return the sparse mixture of operators that explains the window's column best."""
    moments = Moments(column)
    gap = (moments.target - moments.start) / np.sqrt(moments.noise)
    before = float(gap @ gap)
    directions = []
    for operator in dictionary:
        shuffled = operator.kind == "permute"
        moved = moments.shuffled() if shuffled else moments.of(operator.apply(column.source, rng))
        directions.append((moved - moments.start) / np.sqrt(moments.noise))
    chosen: list[int] = []
    share, left = np.zeros(0), before
    for _ in range(most):
        best = _next(directions, chosen, gap, dictionary)
        if best is None or left - best[2] < LEAST_GAIN + 0.02 * before:
            break
        chosen, share, left = best
    kept = [(dictionary[i], float(q)) for i, q in zip(chosen, share, strict=True) if q > 0.01]
    cost = left + sum(_freedom(dictionary[i]) for i in chosen)
    return Treated(column.name, tuple(kept), before, cost, 1.3 * len(gap))


def _next(
    directions: list[Floats], chosen: list[int], gap: Floats, dictionary: Sequence[Operator]
) -> tuple[list[int], Floats, float] | None:
    """Return the best mixture with one operator more: (indices, fractions, chi-square left)."""
    best: tuple[list[int], Floats, float] | None = None
    best_cost = np.inf
    for i, direction in enumerate(directions):
        if i in chosen or not direction.any():
            continue
        share = _fractions(np.column_stack([directions[j] for j in [*chosen, i]]), gap)
        left = float(((gap - np.column_stack([directions[j] for j in [*chosen, i]]) @ share) ** 2).sum())
        cost = left + sum(_freedom(dictionary[j]) for j in [*chosen, i])
        if cost < best_cost:
            best, best_cost = ([*chosen, i], share, left), cost
    return best


def _freedom(operator: Operator) -> float:
    """Return what an operator gains by drawing from the window itself: about 1 for each cell it can match."""
    return 2.5 * BINS if operator.kind in ("redraw", "transport") else 0.0


def _fractions(directions: Floats, gap: Floats) -> Floats:
    """Return non-negative fractions that sum to at most 1."""
    if directions.shape[1] == 1:
        one = directions[:, 0]
        return np.array([np.clip(one @ gap / (one @ one), 0.0, 1.0)])
    share, _ = nnls(directions, gap)
    return np.asarray(share / max(1.0, share.sum()), np.float64)
