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
TIES = 4.0
"""Standard errors by which a column's ties to the others must weaken."""


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


def marginal_distances(encoding: Encoding, reference: pd.DataFrame, window: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return KS or TV distance and absolute change of the missing rate of every column, (d,) each."""
    distance, missing = [], []
    for place, name in enumerate(encoding.numeric):
        values = window[name].to_numpy(float)
        absent = np.isnan(values)
        distance.append(_kolmogorov(encoding.grids[place], np.sort(values[~absent])))
        missing.append(abs(float(absent.mean()) - float(np.isnan(reference[name].to_numpy(float)).mean())))
    for name in encoding.categorical:
        old, new = reference[name].value_counts(), window[name].value_counts()
        both = old.index.union(new.index)
        p = old.reindex(both, fill_value=0) / max(old.sum(), 1)
        q = new.reindex(both, fill_value=0) / max(new.sum(), 1)
        rare = (p < 0.02) & (q < 0.02)
        gap = (p - q).abs()[~rare].sum() + abs(float((p - q)[rare].sum()))
        distance.append(0.5 * float(gap))
        missing.append(abs(float(window[name].isna().mean() - reference[name].isna().mean())))
    return np.array(distance), np.array(missing)


def _kolmogorov(grid: Floats, values: Floats) -> float:
    if len(grid) == 0 or len(values) == 0:
        return 0.0 if len(grid) == len(values) else 1.0
    points = np.unique(values)
    gap_right = np.searchsorted(grid, points, "right") / len(grid) - np.searchsorted(values, points, "right") / len(values)
    gap_left = np.searchsorted(grid, points, "left") / len(grid) - np.searchsorted(values, points, "left") / len(values)
    return float(max(np.abs(gap_right).max(), np.abs(gap_left).max()))


def ties(expectations: Expectations, scores: Floats, trusted: NDArray[np.bool_], rows: float) -> tuple[Floats, Floats]:
    """Return how far each column's correlations with trusted columns are kept, and by how many errors loosened."""
    old, new = expectations.correlation.copy(), correlations(scores)
    np.fill_diagonal(old, 0.0)
    np.fill_diagonal(new, 0.0)
    old, new = old[:, trusted], new[:, trusted]
    strength = (old**2).sum(1)
    kept = (old * new).sum(1) / np.maximum(strength, 1e-9)
    error = np.sqrt(1.5 * rows / np.maximum(strength, 1e-9))
    kept = np.where(strength > 0.01, kept, 1.0)
    return kept, (1.0 - kept) / error


def screen(
    encoding: Encoding, expectations: Expectations, reference: pd.DataFrame, window: pd.DataFrame, scores: Floats
) -> Movement:
    """Compare a window with the reference, column by column; `scores`: the window's normal scores (n, d)."""
    rows = 1.0 / len(window) + 1.0 / len(reference)
    distance, missing = marginal_distances(encoding, reference, window)
    everyone = np.ones(len(encoding.columns), dtype=bool)
    kept, loosened = ties(expectations, scores, everyone, rows)
    return Movement(encoding.columns, distance / np.sqrt(rows), missing / np.sqrt(rows), kept, loosened)
