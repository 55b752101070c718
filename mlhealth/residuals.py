"""What estimates do on the reference's own windows, where nothing is lost: the null of the false-alarm budget.

Consecutive windows of the reference rows, in time order, are estimated as production windows would be. A residual is
the estimated loss over the estimate's own standard deviation. Where neighbouring windows err alike, sums of residuals
spread more than independent ones would: the spread is widened by what a moving-block bootstrap of their sums shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline import Null
from mlhealth.estimators.base import Estimator
from mlhealth.estimators.rows import Rows
from mlhealth.objective import Objective, standard_deviation

NULL = "budget"
"""Name under which the two nulls below stand among a baseline's."""
RESIDUAL = "residual"
DEVIATION = "deviation"
SIZES = (250, 1_000)
"""Rows of the windows that are replayed."""
MOST_WINDOWS = 30
"""Windows replayed of each size at most: each costs as much as one window of production."""
FEWEST_WINDOWS = 8
"""Fewer than this say nothing about a spread."""
BLOCK = 3
"""Neighbouring windows that are drawn together by the bootstrap."""
DRAWS = 1_000
LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9, 0.99])

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Replayed:
    """Residuals and standard deviations of consecutive reference windows of one size, each (windows,)."""

    rows: int
    residuals: Floats
    deviations: Floats


def residual_nulls(
    estimator: Estimator, reference: Rows, objective: Objective, rng: np.random.Generator
) -> dict[tuple[str, str], Null]:
    """Return the nulls of residuals and deviations; empty where the reference is too short for any window size."""
    found = [replay(estimator, reference, objective, rows) for rows in SIZES]
    return nulls([r for r in found if len(r.residuals) >= FEWEST_WINDOWS], rng)


def replay(estimator: Estimator, reference: Rows, objective: Objective, rows: int) -> Replayed:
    """Return what the estimator says of the reference's own windows of `rows` rows, evenly spread over it."""
    starts = np.arange(0, len(reference) - rows + 1, rows)
    if len(starts) > MOST_WINDOWS:
        starts = starts[np.linspace(0, len(starts) - 1, MOST_WINDOWS).astype(int)]
    pairs = [_residual(estimator, reference, objective, (int(start), rows)) for start in starts]
    known = np.array([pair for pair in pairs if pair is not None], dtype=np.float64).reshape(-1, 2)
    return Replayed(rows, known[:, 0], known[:, 1])


def nulls(replayed: Sequence[Replayed], rng: np.random.Generator) -> dict[tuple[str, str], Null]:
    """Return the nulls of windows already replayed."""
    if not replayed:
        return {}
    rows = np.array([r.rows for r in replayed], dtype=np.int64)
    residuals = [np.quantile(_inflated(r.residuals, rng), LEVELS) for r in replayed]
    deviations = [np.quantile(r.deviations, LEVELS) for r in replayed]
    return {
        (NULL, RESIDUAL): Null(rows, LEVELS, np.stack(residuals)),
        (NULL, DEVIATION): Null(rows, LEVELS, np.stack(deviations)),
    }


def dependence(residuals: Floats, rng: np.random.Generator) -> float:
    """Return by what factor (at least 1) block sums of residuals spread more than sums of independent ones would."""
    blocks = np.lib.stride_tricks.sliding_window_view(residuals - residuals.mean(), BLOCK)
    drawn = blocks[rng.integers(0, len(blocks), (DRAWS, 8))].reshape(DRAWS, -1).sum(axis=1)
    alone = residuals.std(ddof=1) * np.sqrt(8 * BLOCK)
    return float(max(drawn.std() / alone, 1.0)) if alone > 0.0 else 1.0


def _residual(
    estimator: Estimator, reference: Rows, objective: Objective, window: tuple[int, int]
) -> tuple[float, float] | None:
    start, rows = window
    part = reference.take(np.arange(start, start + rows))
    estimate = estimator.estimate(replace(part, label=None)).get(objective.metric)
    if estimate is None or estimate.value is None or estimate.reference is None:
        return None
    deviation = standard_deviation(estimate, objective)
    if not deviation:
        return None
    return objective.loss(estimate.value, estimate.reference) / deviation, deviation


def _inflated(residuals: Floats, rng: np.random.Generator) -> Floats:
    middle = np.median(residuals)
    return np.asarray(middle + (residuals - middle) * dependence(residuals, rng))
