"""Where a statistic begins to count as drift: from the nulls, or pinned by a person.

Quantiles of a null are interpolated between the simulated window sizes along sqrt(1/n + 1/N), which most statistics
follow (n rows in the window, N in the reference). Below the smallest size they grow with the square of that, above
the largest they stay: both err towards silence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhealth.detectors.cells import Floats

FEWEST_ROWS = 20
"""Columns with fewer values in a window are not judged."""
MEDIAN, LOW, HIGH = 2, 1, 3
"""Places of the median, and of one standard deviation below and above it, among a null's levels."""


@dataclass(frozen=True, eq=False)
class NullTable:
    """The nulls of several detectors over the same columns: `quantiles` (detectors, d, sizes, levels), NaN if none."""

    rows: NDArray[np.int64]
    levels: Floats
    quantiles: Floats
    reference_rows: int

    def at(self, rows: Floats, reference_rows: int | None = None) -> Floats:
        """Return quantiles (detectors, d, levels) for columns with so many values, (detectors, d).

        `reference_rows`: of the part of the reference that is compared with, where it is not the whole.
        """
        places = _spread(self.rows.astype(np.float64), self.reference_rows)[::-1]
        wanted = _spread(np.maximum(rows, 1.0), reference_rows or self.reference_rows)
        right = np.clip(np.searchsorted(places, wanted), 1, len(places) - 1)
        weight = (wanted - places[right - 1]) / (places[right] - places[right - 1])
        weight = np.clip(weight, 0.0, 1.0)[..., None]
        by_place = self.quantiles[:, :, ::-1]
        k, j = np.indices(rows.shape)
        found = by_place[k, j, right - 1] * (1.0 - weight) + by_place[k, j, right] * weight
        return np.asarray(found * (np.maximum(wanted / places[-1], 1.0) ** 2)[..., None])


def _spread(rows: Floats, reference_rows: int) -> Floats:
    return np.sqrt(1.0 / rows + 1.0 / max(reference_rows, 1))


def p_values(statistics: Floats, quantiles: Floats, levels: Floats) -> Floats:
    """Return P(statistic at least so large without drift), (...), from quantiles (..., levels).

    Log-linear between the levels, and beyond the last one along the tail's last stretch. A statistic at or below the
    first level's quantile has 1.

    >>> p_values(np.array([1.0]), np.array([[0.0, 1.0, 2.0]]), np.array([0.5, 0.9, 0.99])).round(3)
    array([0.1])
    """
    survival = np.log(1.0 - levels)
    above = np.sum(statistics[..., None] > quantiles, axis=-1)
    right = np.clip(above, 1, len(levels) - 1)
    low = np.take_along_axis(quantiles, (right - 1)[..., None], -1)[..., 0]
    high = np.take_along_axis(quantiles, right[..., None], -1)[..., 0]
    span = np.where(high > low, high - low, np.inf)
    logs = survival[right - 1] + (statistics - low) / span * (survival[right] - survival[right - 1])
    logs = np.where((above == len(levels)) & ~(high > low), survival[-1], logs)
    return np.asarray(np.where(above == 0, 1.0, np.exp(np.minimum(logs, 0.0))))


def critical_values(p: Floats, quantiles: Floats, levels: Floats) -> Floats:
    """Return the statistic whose p-value is `p` (..., 1 or d), from quantiles (..., levels): `p_values` inverted."""
    survival = np.log(1.0 - levels)
    wanted = np.broadcast_to(np.log(p), quantiles.shape[:-1])
    right = np.clip(np.sum(wanted[..., None] < survival, axis=-1), 1, len(levels) - 1)
    low = np.take_along_axis(quantiles, (right - 1)[..., None], -1)[..., 0]
    high = np.take_along_axis(quantiles, right[..., None], -1)[..., 0]
    slope = (high - low) / (survival[right] - survival[right - 1])
    return np.asarray(low + np.maximum(wanted - survival[right - 1], -np.inf) * slope)


def false_discovery_cutoff(p: Floats, rate: float) -> Floats:
    """Return the p-value up to which columns count as drifted, (detectors, 1), from p-values (detectors, d).

    Benjamini and Hochberg (1995): of the columns called drifted, at most `rate` are so by chance. NaN is no test.

    >>> false_discovery_cutoff(np.array([[0.001, 0.02, 0.5, 0.9]]), 0.05)
    array([[0.025]])
    """
    tests = np.maximum(np.sum(~np.isnan(p), axis=-1, keepdims=True), 1)
    ordered = np.sort(p, axis=-1)
    limits = rate * np.arange(1, p.shape[-1] + 1) / tests
    passed = np.max(np.where(ordered <= limits, np.arange(1, p.shape[-1] + 1), 1), axis=-1, keepdims=True)
    return np.asarray(rate * passed / tests)


class Threshold(ABC):
    """A threshold that a person pinned in place of the fitted one."""

    @abstractmethod
    def value(self, quantiles: Floats, levels: Floats) -> float:
        """Return the threshold, given the null's quantiles (levels,) at the window's size."""


@dataclass(frozen=True)
class Constant(Threshold):
    """The same number whatever the window's size."""

    limit: float

    def value(self, quantiles: Floats, levels: Floats) -> float:
        return self.limit


@dataclass(frozen=True)
class Sigmas(Threshold):
    """So many standard deviations above the null's median."""

    count: float

    def value(self, quantiles: Floats, levels: Floats) -> float:
        return float(quantiles[MEDIAN] + self.count * (quantiles[HIGH] - quantiles[LOW]) / 2.0)


@dataclass(frozen=True)
class Quantile(Threshold):
    """A quantile of the null, 0 to 1, without control over the number of columns."""

    level: float

    def value(self, quantiles: Floats, levels: Floats) -> float:
        return float(critical_values(np.array(1.0 - self.level), quantiles, levels))
