"""What a false-alarm budget costs: which loss it lets be found, within how long, and which not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlhealth.budget.limits import BudgetLimits, gain

FOUND = 0.85
"""Share of cases in which a loss is found within the time told."""
PATHS = 40
"""Simulated series of windows."""
LONGEST = 168
"""Windows after which a loss counts as not found: a week of hourly ones."""
SHARES = (3.0, 2.0, 1.4, 1.0, 0.6, 0.4)
"""Losses that are told of, in tolerances."""


@dataclass(frozen=True)
class Found:
    """A lasting loss, in units of the tolerance, and within how many windows it pages; None where it does not."""

    loss: float
    windows: int | None


def soon(drop: float, rows: int, limits: BudgetLimits) -> int | None:
    """Return within how many windows a lasting loss of `drop` pages in 85 of 100 cases; None if not within LONGEST.

    Simulated with normal errors of the spread seen on reference windows, for windows of `rows` rows. None, too,
    where no reference windows were replayed.
    """
    if limits.spread is None:
        return None
    bias, scale, deviation = limits.spread.at(rows)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(PATHS):
        total, windows = 0.0, 0
        while total < limits.limit and windows < LONGEST:
            loss = drop + deviation * (bias + scale * rng.standard_normal())
            total = max(total + gain(loss, deviation, rows, limits), 0.0)
            windows += 1
        found.append(windows if total >= limits.limit else LONGEST + 1)
    when = int(np.ceil(np.quantile(found, FOUND)))
    return when if when <= LONGEST else None


def cost(rows: int, limits: BudgetLimits) -> tuple[Found, ...]:
    """Return which lasting losses the budget lets be found at windows of `rows` rows, within how many windows.

    Empty where the reference is too short to tell.
    """
    if limits.spread is None:
        return ()
    losses = [share * limits.objective.tolerance for share in SHARES]
    return tuple(Found(loss, soon(loss, rows, limits)) for loss in losses)
