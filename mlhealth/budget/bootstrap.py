"""The limit of the false-alarm budget, from streams of windows drawn from the reference's own.

A stream is made of blocks of neighbouring reference windows (moving-block bootstrap, Kuensch 1989), so that windows
which err alike stay together. What a few dozen windows cannot show is added: each drawn residual is smeared by
Student's t, with the width of a kernel estimate of as many values; each stream has a spread of its own, as uncertain
as that of so few values which err alike; and it errs throughout by one draw of the reference metric's own sampling
error. The limit is the one at which pages open as often as the budget allows; where
that is too seldom to count, it is extrapolated: the logarithm of the windows between two pages grows linearly with it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np

from mlhealth.budget.limits import LEAST_SCALE, REFERENCE_ERRORS, BudgetLimits, Floats, Spread, gains

STREAMS = 256
"""Streams drawn, each with an error of its own in the reference metric."""
WINDOWS = 600
"""Windows of each stream."""
BLOCK = 8
"""Neighbouring windows drawn together."""
FEWEST = 4.0
"""Independent windows that a reference is worth at least, however alike its windows err."""
LEAST = 2.5
"""Evidence (nats) that a page is worth at least."""
FORGIVEN = (1.0, REFERENCE_ERRORS)
"""Standard errors of the reference metric that are forgiven: the first, or the second where that keeps no budget."""
COUNTED = 25
"""Fewer pages than this, over all streams, are not counted but extrapolated."""
GRID = np.linspace(0.0, 1.0, 7)
SEED = 20_190_208


def drawn(bound: BudgetLimits) -> BudgetLimits:
    """Return the limits for one page in `bound.windows_per_incident` windows, at most `bound.limit`.

    The strictest over the window sizes replayed. Since every stream has a draw of the reference metric's own error in
    it, less of that is forgiven beforehand, as long as the limit then stays below the bound. Where the reference's
    windows cannot be drawn from, or no limit below the bound keeps the budget, the bound stands.
    """
    spread = bound.spread
    if spread is None or not spread.series:
        return bound
    for forgiven in FORGIVEN:
        case = _Case(replace(bound, forgiven=forgiven))
        limit = max(_at_size(case, place) for place in range(len(spread.sizes)))
        if limit < bound.limit:
            return replace(bound, limit=limit, found="bootstrap", forgiven=forgiven)
    return replace(bound, found="bootstrap")


class _Case:
    """Limits that may be keys of a cache: two with equal contents are the same question."""

    def __init__(self, limits: BudgetLimits) -> None:
        self.limits = limits
        self._key = (
            limits.objective,
            limits.limit,
            limits.reference_error,
            limits.spread,
            limits.windows_per_incident,
            limits.forgiven,
        )

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Case) and self._key == other._key


@lru_cache(maxsize=64)
def _at_size(case: _Case, place: int) -> float:
    limits = case.limits
    assert limits.spread is not None
    losses = _losses(limits.spread, place, limits.reference_error)
    deviation, rows = limits.spread.deviation[place], limits.spread.sizes[place]
    wanted = math.log(limits.windows_per_incident)
    grid: list[float] = []
    between: list[float] = []
    for share in GRID:
        limit = LEAST + share * max(limits.limit - LEAST, 0.0)
        opened = _pages(gains(losses, deviation, rows, replace(limits, limit=limit)), limit)
        if opened < COUNTED:
            break
        grid.append(limit)
        between.append(math.log(losses.size / opened))
    if not grid:
        seldom = math.log(losses.size / COUNTED)
        return LEAST + max(wanted - seldom, 0.0)
    if between[-1] >= wanted:
        return max(float(np.interp(wanted, np.maximum.accumulate(between), grid)), LEAST)
    # Lorden's bound: at least one nat more of evidence for e times as many windows.
    slope = (between[-1] - between[0]) / (grid[-1] - grid[0]) if len(grid) > 1 else 1.0
    return float(grid[-1] + (wanted - between[-1]) / max(slope, 1.0))


def _losses(spread: Spread, place: int, reference_error: float) -> Floats:
    """Return estimated losses of streams in which nothing is lost, (streams, windows)."""
    rng = np.random.default_rng(SEED)
    known = np.asarray(spread.series[place])
    count = -(-WINDOWS // BLOCK)
    starts = rng.integers(0, len(known), (STREAMS, count))
    drawn = known[(starts[..., None] + np.arange(BLOCK)) % len(known)].reshape(STREAMS, -1)[:, :WINDOWS]
    width = max(float(np.std(known)), LEAST_SCALE) * len(known) ** -0.2
    smeared = drawn + width * rng.standard_t(spread.freedom, drawn.shape)
    worth = max(len(known) / _alike(known) - 1.0, FEWEST)
    smeared = smeared * np.sqrt(worth / rng.chisquare(worth, (STREAMS, 1)))
    own = reference_error * rng.standard_normal((STREAMS, 1))
    return np.asarray(smeared * spread.deviation[place] + own)


def _alike(known: Floats) -> float:
    """Return how many neighbouring windows are worth one independent one, at least 1: by their first correlation."""
    centred = known - known.mean()
    power = float(centred @ centred)
    first = float(centred[1:] @ centred[:-1]) / power if power > 0.0 else 0.0
    # A correlation of so few values may be larger by chance than it seems.
    first = min(max(first + 1.0 / np.sqrt(len(known)), 0.0), 0.9)
    return float((1.0 + first) / (1.0 - first))


def _pages(gained: Floats, limit: float) -> int:
    """Return how many pages open in streams of evidence, (streams, windows), as `judge` would open and close them."""
    total = np.zeros(len(gained))
    is_open = np.zeros(len(gained), dtype=bool)
    opened = 0
    for column in gained.T:
        total = np.minimum(np.maximum(total + column, 0.0), limit)
        reached = total >= limit
        opened += int(np.sum(reached & ~is_open))
        is_open = np.where(is_open, total > 0.0, reached)
    return opened
