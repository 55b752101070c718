"""How much evidence a page is worth: the false-alarm budget, the estimates' own spread, and the evidence of one window.

`gain` is the logarithm of the likelihood ratio of "the tolerance is lost" to "nothing is lost". Its expectation under
"nothing" is at most 1 by construction, so a limit of ln(windows per allowed page) bounds false pages (Lorden 1971; an
e-detector in the sense of Shin, Ramdas and Rinaldo 2023). Where reference windows were replayed, the limit is found by
drawing streams of windows from them instead (`budget_bootstrap.py`), and never lies above that bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtri

from mlhealth.baseline.record import Baseline, Null
from mlhealth.budget.residuals import DEVIATION, RESIDUAL, SERIES, named
from mlhealth.clock import DAY, HOUR
from mlhealth.objective import Objective

REFERENCE_ERRORS = 1.645
"""Standard errors of the reference metric that are forgiven before anything counts as loss, where nothing was drawn."""
ONE_WINDOW = 0.55
"""Share of the limit that one window can add or take: two are needed to page, and two to resolve."""
LEAST_SCALE = 0.3
"""Estimates are never trusted to spread less than this share of what their own intervals say."""
LEAST_WINDOWS = 3.0
"""A budget of more than one page in so many windows is read as this."""
FREEDOM = 5.0
"""Degrees of freedom of the tails where a few dozen reference windows were replayed."""
SURE_FREEDOM = 30.0
"""The same where an interval is taken at its word."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AlarmBudget:
    """So many false pages (`incidents`) at most, on average, in `period` microseconds."""

    incidents: float = 1.0
    period: int = 90 * DAY

    def windows(self, window: int, shares: int = 1) -> float:
        """Return how many windows of `window` microseconds one page is allowed in, of each of `shares`."""
        return shares * self.period / window / self.incidents

    def limit(self, window: int, shares: int = 1) -> float:
        """Return the bound on the evidence (nats) that a page is worth."""
        return math.log(max(self.windows(window, shares), LEAST_WINDOWS))


@dataclass(frozen=True)
class Spread:
    """What estimates do on reference windows of `sizes` rows, in units of their own standard deviation.

    `bias`: the median residual, at least 0. `scale`: the residuals' spread. `deviation`: the median standard
    deviation itself, in units of loss. `freedom`: degrees of freedom of the residuals' tails. `series`: the residuals
    of each size in their order, where they were kept.
    """

    sizes: tuple[int, ...]
    bias: tuple[float, ...]
    scale: tuple[float, ...]
    deviation: tuple[float, ...]
    freedom: float
    series: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def of(cls, residuals: Null, deviations: Null, series: Null | None = None) -> Self:
        """Return the spread of replayed windows."""
        low, middle, high = (residuals.quantiles[:, _place(residuals, level)] for level in (0.1, 0.5, 0.9))
        tail = residuals.quantiles[:, -1] - middle
        scale = np.maximum((high - low) / (2.0 * ndtri(0.9)), tail / ndtri(0.99))
        kept = () if series is None else tuple(_finite(row) for row in series.quantiles)
        return cls(
            tuple(int(n) for n in residuals.rows),
            tuple(float(b) for b in np.maximum(middle, 0.0)),
            tuple(float(s) for s in np.maximum(scale, LEAST_SCALE)),
            tuple(float(d) for d in deviations.quantiles[:, _place(deviations, 0.5)]),
            FREEDOM,
            kept,
        )

    def at(self, rows: int) -> tuple[float, float, float]:
        """Return bias, scale and deviation at a window size."""
        size, known = math.log(max(rows, 1)), np.log(np.array(self.sizes, dtype=np.float64))
        bias, scale, deviation = (
            float(np.interp(size, known, v)) for v in (self.bias, self.scale, self.deviation)
        )
        return bias, scale, deviation


@dataclass(frozen=True)
class BudgetLimits:
    """Everything that `judge` needs beside the report; made once per baseline and budget.

    `limit`: evidence (nats) at which a page is worth it. `reference_error`: of the reference metric, in units of
    loss. `spread`: None where no reference windows were replayed; then intervals are taken at their word.
    `learning`: windows before anything pages. `windows`: how many there are to one allowed page; None reads it off the
    limit. `found`: how the limit was found. `others`: the limits of further metrics that page too. `overlap`: in how
    many windows each row is. `every`: about how much event time goes by from one window to the next.
    """

    objective: Objective
    limit: float
    reference_error: float
    spread: Spread | None = None
    learning: int = 0
    windows: float | None = None
    found: str = "bound"
    others: tuple[BudgetLimits, ...] = ()
    forgiven: float = REFERENCE_ERRORS
    overlap: int = 1
    every: int = 0

    @classmethod
    def of(
        cls,
        baseline: Baseline,
        objective: Objective,
        budget: AlarmBudget = AlarmBudget(),
        *,
        window: int = HOUR,
        segments: int = 1,
        learning: int = 0,
        further: tuple[Objective, ...] = (),
        bootstrapped: bool = True,
    ) -> Self:
        """Return the limits of a budget that is split evenly over `segments` and over all metrics.

        `segments` counts the overall window too. `further`: objectives beside the primary one.
        """
        shares = segments * (1 + len(further))
        windows = max(budget.windows(window, shares), LEAST_WINDOWS)
        made = [_limits(baseline, one, windows, bootstrapped=bootstrapped) for one in (objective, *further)]
        first = made[0]
        return cls(
            objective,
            first.limit,
            first.reference_error,
            first.spread,
            learning,
            windows,
            first.found,
            tuple(made[1:]),
            forgiven=first.forgiven,
        )

    def overlapping(self, overlap: int) -> Self:
        """Return the limits for windows that slide, so that each row is in `overlap` of them.

        Each window then counts for that share of its evidence. The sum is the mean of `overlap` streams of windows side
        by side, and by Hoelder's inequality the exponential of a mean of evidence is at most 1 on average where that of
        each stream is.
        """
        return replace(
            self, overlap=overlap, others=tuple(replace(one, overlap=overlap) for one in self.others)
        )

    @property
    def windows_per_incident(self) -> float:
        """How many windows go by, on average, between two false pages at most."""
        return math.exp(self.limit) if self.windows is None else self.windows


def gain(loss: float, deviation: float, rows: int, limits: BudgetLimits) -> float:
    """Return the evidence of an estimated loss whose own standard deviation is `deviation`, in nats, capped."""
    return float(gains(np.array(loss), deviation, rows, limits))


def gains(losses: Floats, deviation: float, rows: int, limits: BudgetLimits) -> Floats:
    """Return the evidence of each of many estimated losses, of the same shape."""
    bias, scale, _ = (0.0, 1.0, 0.0) if limits.spread is None else limits.spread.at(rows)
    freedom = SURE_FREEDOM if limits.spread is None else limits.spread.freedom
    spread = max(deviation * scale, 1e-9)
    net = losses - limits.forgiven * limits.reference_error - bias * deviation
    contrast = limits.objective.tolerance / spread
    ratio = contrast * (net / spread - contrast / 2.0)
    most = ONE_WINDOW * limits.limit
    return np.asarray(np.clip(ratio - _tail_price(contrast, most, freedom), -most, most))


def _limits(baseline: Baseline, objective: Objective, windows: float, *, bootstrapped: bool) -> BudgetLimits:
    from mlhealth.budget.bootstrap import drawn

    reference = baseline.metrics[objective.metric]
    error = objective.scaled(reference.standard_error, reference.value)
    parts = [
        baseline.nulls.get(named(part, objective.metric, baseline.primary))
        for part in (RESIDUAL, DEVIATION, SERIES)
    ]
    residuals, deviations, series = parts
    spread = None if residuals is None or deviations is None else Spread.of(residuals, deviations, series)
    bound = BudgetLimits(objective, math.log(windows), error, spread, windows=windows)
    return drawn(bound) if bootstrapped else bound


def _tail_price(contrast: float, most: float, freedom: float) -> float:
    """Return by how much the likelihood ratio must shrink to be fair where tails are those of Student's t."""
    t, weight = _student(freedom)
    ratio = np.minimum(np.maximum(contrast * t - contrast * contrast / 2.0, -most), most)
    return max(math.log(float(np.exp(ratio) @ weight)), 0.0)


@cache
def _student(freedom: float) -> tuple[Floats, Floats]:
    t = np.linspace(-25.0, 25.0, 401)
    density = np.asarray(stats.t.pdf(t, freedom))
    return t, density / density.sum()


def _place(null: Null, level: float) -> int:
    return int(np.argmin(np.abs(null.levels - level)))


def _finite(row: Floats) -> tuple[float, ...]:
    return tuple(float(v) for v in row[np.isfinite(row)])
