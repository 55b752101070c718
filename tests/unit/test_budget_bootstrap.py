"""Limits drawn from reference windows: tighter where estimates are calm, never above the bound, and they hold."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mlhealth.budget.bootstrap import LEAST, drawn
from mlhealth.budget.limits import BudgetLimits, Spread, gains
from mlhealth.budget.residuals import dependence
from mlhealth.objective import Objective

OBJECTIVE = Objective("accuracy", 0.05)
WINDOWS = 2_160.0


def bound(spread: float, deviation: float = 0.02, correlation: float = 0.0, seed: int = 0) -> BudgetLimits:
    """Return limits of a reference whose 40 residuals have this spread."""
    series = noise(40, spread, correlation, seed)
    scale = max(float(np.std(series)) * dependence(series, np.random.default_rng(0)), 0.3)
    known = Spread((500,), (0.0,), (scale,), (deviation,), 5.0, (tuple(series.tolist()),))
    return BudgetLimits(OBJECTIVE, math.log(WINDOWS), 0.004, known, windows=WINDOWS)


def noise(count: int, spread: float, correlation: float, seed: int) -> np.ndarray:
    """Return an autocorrelated series."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=count)
    for i in range(1, count):
        found[i] = correlation * found[i - 1] + found[i] * math.sqrt(1 - correlation**2)
    return spread * found


def pages(limits: BudgetLimits, spread: float, correlation: float) -> float:
    """Return false pages per period of the budget, over forty periods in which nothing is lost."""
    assert limits.spread is not None
    periods = 40
    losses = noise(int(WINDOWS) * periods, spread, correlation, 7)
    total, is_open, opened = 0.0, False, 0
    for gained in gains(losses * limits.spread.deviation[0], limits.spread.deviation[0], 500, limits):
        total = min(max(total + gained, 0.0), limits.limit)
        if not is_open and total >= limits.limit:
            opened, is_open = opened + 1, True
        is_open = is_open and total > 0.0
    return opened / periods


@pytest.mark.parametrize("correlation", [0.0, 0.5])
@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_the_limit_holds_the_budget(spread: float, correlation: float) -> None:
    """Streams like the reference page at most 1.2 times as often as allowed, independent or not."""
    limits = bound(spread, correlation=correlation)
    found = drawn(limits)
    assert LEAST <= found.limit <= limits.limit
    assert pages(found, spread, correlation) <= 1.2


def test_calm_estimates_need_less_evidence() -> None:
    """Where estimates hardly err, a page is worth less evidence than the bound asks for; noisy ones ask for more."""
    calm, noisy = (drawn(bound(spread, deviation=0.05)).limit for spread in (0.3, 1.5))
    assert calm <= noisy <= math.log(WINDOWS)
    assert calm < math.log(WINDOWS) / 2


def test_without_reference_windows_the_bound_stands() -> None:
    """Where no windows were kept, there is nothing to draw from."""
    limits = replace(bound(1.0), spread=None)
    assert drawn(limits) == limits


@pytest.mark.parametrize("error", [0.004, 0.015, 0.03])
def test_an_uncertain_reference_does_not_break_the_budget(error: float) -> None:
    """Over many references that each err by their own draw, pages are at most 1.2 times as many as allowed."""
    limits = drawn(replace(bound(0.5), reference_error=error))
    assert limits.spread is not None
    rng = np.random.default_rng(3)
    streams, windows, opened = 400, 600, 0
    losses = 0.5 * limits.spread.deviation[0] * rng.normal(size=(streams, windows))
    losses += error * rng.normal(size=(streams, 1))
    for stream in losses:
        total, is_open = 0.0, False
        for gained in gains(stream, limits.spread.deviation[0], 500, limits):
            total = min(max(total + gained, 0.0), limits.limit)
            opened += not is_open and total >= limits.limit
            is_open = total >= limits.limit or (is_open and total > 0.0)
    assert opened / (streams * windows) * WINDOWS <= 1.2
