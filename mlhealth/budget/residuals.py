"""What estimates do on the reference's own windows, where nothing is lost: the null of the false-alarm budget.

Consecutive windows of the reference rows, in time order, are estimated as production windows would be. A residual is
the estimated loss over the estimate's own standard deviation. Where neighbouring windows err alike, sums of residuals
spread more than independent ones would: the spread is widened by what a moving-block bootstrap of their sums shows.
The residuals themselves are kept too, in their order: limits are found by drawing streams of windows from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline.record import Null
from mlhealth.estimators.base import Estimator
from mlhealth.estimators.rows import Rows
from mlhealth.objective import Objective, standard_deviation
from mlhealth.records import PerformanceEstimate

NULL = "budget"
"""Name under which the nulls below stand among a baseline's; other metrics than the primary add `:metric`."""
RESIDUAL = "residual"
DEVIATION = "deviation"
SERIES = "series"
SIZES = (250, 1_000)
"""Rows of the windows that are replayed."""
SMALL = 100
"""Rows of the windows that are replayed where the reference is too short for any of the sizes above."""
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


def named(part: str, metric: str, primary: str) -> tuple[str, str]:
    """Return the name of one of the nulls of a metric.

    >>> named(RESIDUAL, "accuracy", "accuracy"), named(RESIDUAL, "f1", "accuracy")
    (('budget', 'residual'), ('budget', 'residual:f1'))
    """
    return NULL, part if metric == primary else f"{part}:{metric}"


def residual_nulls(
    estimator: Estimator, reference: Rows, objectives: Sequence[Objective], rng: np.random.Generator
) -> dict[tuple[str, str], Null]:
    """Return the nulls of residuals and deviations of each metric, the primary one first.

    A metric for which the reference is too short at any window size has none.
    """
    sizes = SIZES if len(reference) >= FEWEST_WINDOWS * SIZES[0] else (SMALL,)
    by_size = [replay(estimator, reference, objectives, rows) for rows in sizes]
    primary = objectives[0].metric
    found: dict[tuple[str, str], Null] = {}
    for objective in objectives:
        own = [replayed[objective.metric] for replayed in by_size]
        long_enough = [r for r in own if len(r.residuals) >= FEWEST_WINDOWS]
        for (_, part), null in nulls(long_enough, rng).items():
            found[named(part, objective.metric, primary)] = null
    return found


def replay(
    estimator: Estimator, reference: Rows, objectives: Sequence[Objective], rows: int
) -> dict[str, Replayed]:
    """Return, by metric, what the estimator says of the reference's own windows of `rows` rows, evenly spread."""
    starts = np.arange(0, len(reference) - rows + 1, rows)
    if len(starts) > MOST_WINDOWS:
        starts = starts[np.linspace(0, len(starts) - 1, MOST_WINDOWS).astype(int)]
    windows = [
        estimator.estimate(replace(reference.take(np.arange(start, start + rows)), label=None))
        for start in starts
    ]
    found = {}
    for objective in objectives:
        pairs = [_residual(window.get(objective.metric), objective) for window in windows]
        known = np.array([pair for pair in pairs if pair is not None], dtype=np.float64).reshape(-1, 2)
        found[objective.metric] = Replayed(rows, known[:, 0], known[:, 1])
    return found


def nulls(replayed: Sequence[Replayed], rng: np.random.Generator) -> dict[tuple[str, str], Null]:
    """Return the nulls of windows already replayed."""
    if not replayed:
        return {}
    rows = np.array([r.rows for r in replayed], dtype=np.int64)
    residuals = [np.quantile(_inflated(r.residuals, rng), LEVELS) for r in replayed]
    deviations = [np.quantile(r.deviations, LEVELS) for r in replayed]
    longest = max(len(r.residuals) for r in replayed)
    series = np.full((len(replayed), longest), np.nan)
    for row, one in zip(series, replayed, strict=True):
        row[: len(one.residuals)] = one.residuals
    return {
        (NULL, RESIDUAL): Null(rows, LEVELS, np.stack(residuals)),
        (NULL, DEVIATION): Null(rows, LEVELS, np.stack(deviations)),
        # Not quantiles but the residuals in their order, a row for each size; NaN where a size had fewer windows.
        (NULL, SERIES): Null(rows, np.arange(longest) / longest, series),
    }


def dependence(residuals: Floats, rng: np.random.Generator) -> float:
    """Return by what factor (at least 1) block sums of residuals spread more than sums of independent ones would."""
    blocks = np.lib.stride_tricks.sliding_window_view(residuals - residuals.mean(), BLOCK)
    drawn = blocks[rng.integers(0, len(blocks), (DRAWS, 8))].reshape(DRAWS, -1).sum(axis=1)
    alone = residuals.std(ddof=1) * np.sqrt(8 * BLOCK)
    return float(max(drawn.std() / alone, 1.0)) if alone > 0.0 else 1.0


def _residual(estimate: PerformanceEstimate | None, objective: Objective) -> tuple[float, float] | None:
    if estimate is None or estimate.value is None or estimate.reference is None:
        return None
    deviation = standard_deviation(estimate, objective)
    if not deviation:
        return None
    return objective.loss(estimate.value, estimate.reference) / deviation, deviation


def _inflated(residuals: Floats, rng: np.random.Generator) -> Floats:
    middle = np.median(residuals)
    return np.asarray(middle + (residuals - middle) * dependence(residuals, rng))
