"""Which columns were broken, rather than drifted: only these are replayed.

A column that merely drifted must not be replayed: replay would keep its old tie to the label and cut its old ties to
the other columns. Broken is what no reweighting of the reference can explain: values the reference has never seen,
values that went missing, or a definite fault (see `Operator`) that explains nearly all of the column's change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.estimators.ensemble.arrival import came_with_others
from mlhealth.estimators.ensemble.diagnosis import Treated
from mlhealth.estimators.ensemble.expectation import squares
from mlhealth.estimators.ensemble.operators import Operator
from mlhealth.estimators.ensemble.replay import (
    Memory,
    diagnose_columns,
    plain_values,
    trusted_columns,
)
from mlhealth.estimators.ensemble.screening import MARGINAL, TIES, Movement
from mlhealth.estimators.ensemble.weights import HEAVIEST, covariate_weights
from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
LEAST_OUTSIDE = 0.02
"""Share of a window's rows beyond the reference's reach below which a column is not suspected for it."""
CROWD = 0.4
"""Share of moved columns from which a window is drifting, and a column's change proves no fault."""
MANY = 0.2
"""Share of values beyond all drift from which a column is broken, however the others moved."""
MOST = 0.5
"""Share of values beyond the reference's reach from which a column with loosened ties is broken in a drifting table."""
DISPLACED = 0.1
"""The same, given what columns that stand still say it should be."""
SWAPPED = 0.6
"""Share of both columns' change that a swap must explain."""
SURELY = 0.9
"""Share of a column's change that a definite fault must explain to be sure, however the other columns moved."""
WHOLE = 0.9
"""Share of rows from which an operator has treated the whole column."""
MOST_COLUMNS = 25
"""Columns diagnosed per window, most moved first."""
TIED = frozenset({"noise", "recode", "offset", "rounding", "ceiling", "floor", "redraw", "transport"})
"""Operators that drift can imitate: believed only where the column's ties to the others loosened too."""


@dataclass(frozen=True)
class Evidence:
    """What a window shows of its columns.

    `outside`: the share of values beyond the reference's reach, (d,). `far`: whether many values lie where no drift
    goes, (d,). `textual`: whether a column holds categories, (d,): new ones mean nothing to the model, drift or not.
    """

    movement: Movement
    outside: Floats
    rows: float
    far: Mask
    textual: Mask

    @property
    def suspects(self) -> Mask:
        """Which columns are worth a diagnosis, (d,)."""
        return self.movement.moved | (self.outside > self.tolerance / 2)

    @property
    def tolerance(self) -> float:
        """Share outside the support that may be chance."""
        return max(LEAST_OUTSIDE, float(np.sqrt(self.rows)))


def outside_support(memory: Memory, window: Rows) -> Floats:
    """Return, per column, the share of the window that no weights up to `HEAVIEST` can give the reference, (d,)."""
    numbers = zip(memory.encoding.numeric, memory.encoding.grids, strict=True)
    out = [_beyond_numbers(grid, window.features[name].to_numpy(float)) for name, grid in numbers]
    for name in memory.encoding.categorical:
        counts, rows = memory.counts[name], (len(memory.rows), len(window))
        out.append(_beyond_categories(counts, window.features[name].value_counts(), rows))
    return np.array(out)


def far_away(memory: Memory, window: Rows) -> Mask:
    """Return which columns have many values farther beyond the reference's range than that range is wide, (d,)."""
    far = []
    for name, grid in zip(memory.encoding.numeric, memory.encoding.grids, strict=True):
        values = window.features[name].to_numpy(float)
        width = grid[-1] - grid[0] if len(grid) else 0.0
        beyond = (
            np.abs(values - (grid[0] + grid[-1]) / 2) > 1.5 * width if width > 0 else np.zeros(1, dtype=bool)
        )
        far.append(bool(beyond.mean() > MANY))
    return np.array([*far, *(False for _ in memory.encoding.categorical)], dtype=np.bool_)


def _beyond_numbers(old: Floats, window: Floats) -> float:
    """Return the share for one numeric column; `old`: the reference's sorted values."""
    new = np.sort(window[~np.isnan(window)])
    if len(new) == 0 or len(old) == 0:
        return 0.0 if len(new) == 0 else 1.0
    tenths = np.quantile(new, np.linspace(0.0, 1.0, 11))
    edges = np.unique(np.concatenate([tenths, [old[0], old[-1]]]))
    before, after = (_masses(edges, values) for values in (old, new))
    return float(np.maximum(after - HEAVIEST * before, 0.0).sum()) * len(new) / len(window)


def _masses(edges: Floats, ordered: Floats) -> Floats:
    """Return the shares of sorted values at the edges and in the gaps between them, (2 k + 1,)."""
    places = np.column_stack([np.searchsorted(ordered, edges, side) for side in ("left", "right")])
    return np.diff(places.ravel(), prepend=0, append=len(ordered)) / len(ordered)


def _beyond_categories(old: pd.Series, new: pd.Series, rows: tuple[int, int]) -> float:
    """Return the share of categories that grew beyond reach, and of new ones beyond what a long tail always brings.

    `old`, `new`: counts of categories; `rows` of reference and window. The share of a sample's rows whose category
    occurs once estimates the share of categories not seen yet (Good, 1953).
    """
    share = new.to_numpy(float) / max(rows[1], 1)
    before = old.reindex(new.index).to_numpy(float)
    seen = ~np.isnan(before)
    grown = np.maximum(share[seen] - HEAVIEST * before[seen] / max(rows[0], 1), 0.0).sum()
    tail = float((old == 1).sum()) / max(rows[0], 1)
    return float(grown) + max(float(share[~seen].sum()) - 2.0 * tail, 0.0)


def broken_columns(
    memory: Memory, window: Rows, window_scores: Floats, evidence: Evidence, seed: int
) -> list[Treated]:
    """Return the columns that were broken, each with what was done to it."""
    movement = evidence.movement
    suspicious = (movement.missing > MARGINAL) | (evidence.outside > evidence.tolerance)
    trusted = trusted_columns(memory, window_scores, suspicious, movement.marginal, evidence.rows)
    which = _most_moved(evidence, evidence.suspects | ~trusted)
    if not which:
        return []
    good = np.flatnonzero(trusted)
    plain = np.ones(len(memory.rows))
    weight = plain
    if len(good):
        weight = covariate_weights(squares(memory.scores[:, good]), squares(window_scores[:, good]))
    still = trusted & (movement.marginal <= MARGINAL)
    readings = [
        diagnose_columns(memory, window, window_scores, which, (hinting, w, seed))
        for hinting, w in ((still if still.any() else trusted, plain), (trusted, weight))
    ]
    best = [a if a.explained >= b.explained else b for a, b in zip(*readings, strict=True)]
    swapped = _swapped(best)
    sure = [
        replace(t, sure=_is_sure(t, place, evidence) or (t.name in swapped and t.explained > SWAPPED))
        for t, place in zip(best, which, strict=True)
    ]
    drift = Drift.of(evidence.movement, [place for t, place in zip(sure, which, strict=True) if t.sure])
    return [
        t
        for t, place in zip(sure, which, strict=True)
        if t.sure
        or (
            _is_broken(t, place, (evidence, drift), bool(trusted[place]))
            and not _arrived(memory, (window, window_scores), t, drift.besides(place))
        )
        or (_imitable(t, place, evidence) and displaced(memory, window_scores, place, still))
    ]


def _arrived(memory: Memory, window: tuple[Rows, Floats], treated: Treated, moved: Mask) -> bool:
    """Whether the value that a column seems stuck at came with rows that moved other columns (`moved`, (d,)) too."""
    lead = treated.operators[0][0]
    if lead.kind != "constant":
        return False
    rows, scores = window
    after = plain_values(rows.features[treated.name], memory.numeric(treated.name))
    reference = memory.values[treated.name], memory.scores
    return came_with_others(lead.donors[0], reference, (after, scores), moved)


def displaced(memory: Memory, window_scores: Floats, place: int, still: Mask) -> bool:
    """Whether a column lies, given the columns that stand still, where no weights up to `HEAVIEST` put it.

    An offset keeps every correlation: but what is tied to columns that stand still cannot have drifted far alone.
    """
    others = [int(j) for j in np.flatnonzero(still) if j != place]
    if not others:
        return False
    before, after = (
        memory.expectations.residual(place, others, scores) for scores in (memory.scores, window_scores)
    )
    return _beyond_numbers(np.sort(before), after) > DISPLACED


@dataclass(frozen=True)
class Drift:
    """Which columns moved without a fault that explains it for sure, (d,), and which may be counted, (d,)."""

    moved: Mask
    counted: Mask

    @classmethod
    def of(cls, movement: Movement, sure: Sequence[int]) -> Drift:
        """Leave out the columns whose fault is sure: they say nothing of a drift."""
        counted = np.ones(len(movement.columns), dtype=np.bool_)
        counted[list(sure)] = False
        return cls(movement.marginal > MARGINAL, counted)

    def beside(self, place: int) -> float:
        """Return how far the other columns drift, 0 (none) to 1 (so many that one column's change proves nothing)."""
        others = self._others(place)
        return float(min(self.moved[others].mean() / CROWD, 1.0)) if others.any() else 0.0

    def besides(self, place: int) -> Mask:
        """Return which other columns have moved and may be counted, (d,)."""
        return self.moved & self._others(place)

    def _others(self, place: int) -> Mask:
        others = self.counted.copy()
        others[place] = False
        return others


def _swapped(readings: Sequence[Treated]) -> set[str]:
    """Return the columns that each hold the other's values."""
    copies = {
        t.name: t.operators[0][0].column for t in readings if t.operators and t.operators[0][0].kind == "copy"
    }
    return {one for one, other in copies.items() if copies.get(other) == one}


def _most_moved(evidence: Evidence, suspects: Mask) -> list[int]:
    movement = evidence.movement
    size = np.maximum(movement.marginal, movement.missing) + np.maximum(movement.loosened, 0.0)
    order = sorted(np.flatnonzero(suspects).tolist(), key=lambda j: (-size[j], j))
    return sorted(order[:MOST_COLUMNS])


def _went_missing(treated: Treated, place: int, movement: Movement) -> bool:
    return bool(movement.missing[place] > MARGINAL and any(o.kind == "missing" for o, _ in treated.operators))


def _is_sure(treated: Treated, place: int, evidence: Evidence) -> bool:
    """Whether a column is broken however the others moved: no drift looks like this."""
    if not treated.operators:
        return False
    if _went_missing(treated, place, evidence.movement) or bool(evidence.far[place]):
        return True
    lead, fraction = treated.operators[0]
    if not lead.named or lead.kind in TIED | {"permute", "constant"} or treated.explained < SURELY:
        return False
    return fraction > WHOLE or not _slight(lead)


def _is_broken(treated: Treated, place: int, seen: tuple[Evidence, Drift], trusted: bool) -> bool:
    """Whether a column is broken though drift might look like this: the more others drift, the more it takes."""
    if not treated.operators:
        return False
    evidence, drift = seen
    lead, fraction = treated.operators[0]
    beside = drift.beside(place)
    loosened = bool(evidence.movement.loosened[place] > 0.75 * TIES)
    if evidence.outside[place] > evidence.tolerance:
        foreign = lead.named and lead.kind not in TIED and treated.explained > 0.75
        beyond = loosened and evidence.outside[place] > MOST
        return beside < 1.0 or bool(evidence.textual[place]) or foreign or bool(beyond)
    if lead.kind == "permute":
        return treated.explained > _needed(0.7, beside) and not trusted
    if lead.kind in TIED:
        return lead.named and treated.explained > (SURELY if beside == 1.0 else 0.8) and loosened
    return beside < 1.0 and _definite(treated, (lead, fraction), beside, loosened)


def _imitable(treated: Treated, place: int, evidence: Evidence) -> bool:
    """Whether a definite fault that drift can imitate explains a column whose values are within reach."""
    lead = treated.operators[0][0] if treated.operators else None
    within = bool(evidence.outside[place] <= evidence.tolerance)
    return within and lead is not None and lead.named and lead.kind in TIED and treated.explained > 0.8


def _needed(least: float, beside: float) -> float:
    """Return the share of a column's change that a fault must explain, with others drifting `beside` it."""
    return least + 0.8 * beside * (1.0 - least)


def _slight(lead: Operator) -> bool:
    """Whether an operator in some rows gives values that a drift may give as well."""
    return lead.kind in ("constant", "copy") or (lead.kind == "scale" and 1 / 3 < lead.number < 3)


def _definite(treated: Treated, led: tuple[Operator, float], beside: float, loosened: bool) -> bool:
    """Whether an operator that drift seldom imitates explains the column well enough."""
    lead, fraction = led
    if lead.kind == "constant":
        return treated.after < (2.0 - beside) * treated.chance and (fraction > 0.5 * beside or loosened)
    if lead.kind == "copy":
        return treated.explained > _needed(0.8, beside) and fraction > 0.5
    if _slight(lead) and fraction < 1.6 * beside and not loosened:
        return False
    least = 0.85 if _slight(lead) else 0.75
    return (
        abs(lead.number) > 1e-5
        and treated.explained > _needed(least, beside)
        and not 0.65 < lead.number < 1.5
    )
