"""Which columns have moved, and how surely: marginal distance, missing values, ties to the other columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.estimators.ensemble.encoding import Encoding
from mlhealth.estimators.ensemble.expectation import Expectations, correlations

Floats = NDArray[np.float64]
MARGINAL = 2.2
"""In units of sqrt(1/n + 1/N): a KS or TV distance beyond it is a movement; about 1e-4 of unmoved columns exceed it."""
RARE = 0.02
"""Categories with a smaller share than this in both samples are pooled."""
TIES = 4.0
"""Standard errors by which a column's ties to the others must weaken."""
MOST_STRENGTH = 2.0
"""Sum of squared correlations beyond which more ties make none surer: they go together, and so do their errors."""


@dataclass(frozen=True)
class Movement:
    """Per column (d,): marginal distance and change of the missing rate, both in units of sqrt(1/n + 1/N); ties.

    `kept`: projection of a column's correlations on those of the reference, 1 where nothing has changed; `loosened`:
    by how many standard errors it is below 1.
    """

    columns: tuple[str, ...]
    marginal: Floats
    missing: Floats
    kept: Floats
    loosened: Floats

    @property
    def moved(self) -> NDArray[np.bool_]:
        """Which columns have moved in any way, (d,)."""
        return (self.marginal > MARGINAL) | (self.missing > MARGINAL) | (self.loosened > TIES)


@dataclass(frozen=True)
class Shares:
    """A table's missing rate by numeric column, and by categorical column the shares of its categories."""

    missing: Floats
    categories: tuple[Floats, ...]

    @classmethod
    def of(cls, encoding: Encoding, frame: pd.DataFrame) -> Shares:
        """Measure a table."""
        missing = [np.isnan(frame[name].to_numpy(float)).mean() for name in encoding.numeric]
        known = zip(encoding.categorical, encoding.categories, strict=True)
        return cls(np.array(missing), tuple(_shares(pd.Index(c, dtype=object), frame[n]) for n, c in known))


def marginal_distances(encoding: Encoding, reference: Shares, window: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return KS or TV distance and absolute change of the missing rate of every column, (d,) each."""
    distance, here = [], Shares.of(encoding, window)
    for place, name in enumerate(encoding.numeric):
        values = window[name].to_numpy(float)
        distance.append(ks_distance(encoding.grids[place], np.sort(values[~np.isnan(values)])))
    missing = list(np.abs(here.missing - reference.missing))
    for p, q in zip(reference.categories, here.categories, strict=True):
        distance.append(_variation(p[:-1], q[:-1]))
        missing.append(abs(float(p[-1] - q[-1])))
    return np.array(distance), np.array(missing)


def _shares(known: pd.Index[str], values: pd.Series[str]) -> Floats:
    """Return the shares of the known categories among the present values, of unseen ones, and of missing, (k + 2,)."""
    absent = values.isna().to_numpy()
    codes = known.get_indexer(pd.Index(values.to_numpy(object)[~absent], dtype=object))
    counts = np.bincount(np.where(codes < 0, len(known), codes), minlength=len(known) + 1)
    return np.append(counts / max(len(codes), 1), absent.mean())


def _variation(p: Floats, q: Floats) -> float:
    """Return the total variation distance; categories rare in both count as one."""
    rare = (p < RARE) & (q < RARE)
    return 0.5 * float(np.abs(p - q)[~rare].sum() + abs((p - q)[rare].sum()))


def ks_distance(grid: Floats, values: Floats) -> float:
    """Return the Kolmogorov-Smirnov distance of two sorted samples."""
    if len(grid) == 0 or len(values) == 0:
        return 0.0 if len(grid) == len(values) else 1.0
    points = np.unique(values)
    gaps = [
        np.searchsorted(grid, points, side) / len(grid) - np.searchsorted(values, points, side) / len(values)
        for side in ("left", "right")
    ]
    return float(np.abs(gaps).max())


def ties(old: Floats, new: Floats, trusted: NDArray[np.bool_], rows: float) -> tuple[Floats, Floats]:
    """Return how far each column's correlations with trusted columns are kept, and by how many errors loosened.

    `old`, `new`: correlations (d, d) in the reference (those beyond chance) and in the window.
    """
    old, new = old[:, trusted], new[:, trusted]
    strength = (old**2).sum(1)
    kept = (old * new).sum(1) / np.maximum(strength, 1e-9)
    error = np.sqrt(1.5 * rows / np.clip(strength, 1e-9, MOST_STRENGTH))
    kept = np.where(strength > 0.01, kept, 1.0)
    return kept, (1.0 - kept) / error


def screen(
    encoding: Encoding,
    expectations: Expectations,
    reference: Shares,
    window: pd.DataFrame,
    seen: tuple[Floats, float],
) -> Movement:
    """Compare a window with the reference, column by column.

    `seen`: the window's normal scores (n, d), and 1/n + 1/N for the rows of window and reference.
    """
    scores, rows = seen
    distance, missing = marginal_distances(encoding, reference, window)
    everyone = np.ones(len(encoding.columns), dtype=bool)
    kept, loosened = ties(expectations.tied, correlations(scores), everyone, rows)
    return Movement(encoding.columns, distance / np.sqrt(rows), missing / np.sqrt(rows), kept, loosened)
