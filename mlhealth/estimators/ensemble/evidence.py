"""Which columns were broken, rather than drifted: only these are replayed.

A column that merely drifted must not be replayed: replay would keep its old tie to the label and cut its old ties to
the other columns. Broken is what no reweighting of the reference can explain: values the reference has never seen,
values that went missing, or a definite fault (see `Operator`) that explains nearly all of the column's change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.ensemble.diagnosis import Treated
from mlhealth.estimators.ensemble.expectation import squares
from mlhealth.estimators.ensemble.replay import Memory, diagnose_columns, plain_values, trusted_columns
from mlhealth.estimators.ensemble.screening import MARGINAL, TIES, Movement
from mlhealth.estimators.ensemble.weights import covariate_weights
from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
LEAST_OUTSIDE = 0.02
"""Share of a window's rows beyond the reference's support below which a column is not suspected for it."""
MOST_COLUMNS = 40
"""Columns diagnosed per window, most moved first."""
TIED = frozenset({"noise", "recode", "offset", "rounding", "ceiling", "floor", "redraw", "transport"})
"""Operators that drift can imitate: believed only where the column's ties to the others loosened too."""


@dataclass(frozen=True)
class Evidence:
    """What a window shows of its columns: `outside` share of values beyond the reference's support (d,)."""

    movement: Movement
    outside: Floats
    rows: float

    @property
    def suspects(self) -> Mask:
        """Which columns are worth a diagnosis, (d,)."""
        return self.movement.moved | (self.outside > self.tolerance / 2)

    @property
    def tolerance(self) -> float:
        """Share outside the support that may be chance."""
        return max(LEAST_OUTSIDE, float(np.sqrt(self.rows)))


def outside_support(memory: Memory, window: Rows) -> Floats:
    """Return, per column, the share of values below the least or above the greatest, or of unseen categories, (d,)."""
    out = []
    for place, name in enumerate(memory.encoding.columns):
        values = plain_values(window.features[name], memory.numeric(name))
        if memory.numeric(name):
            grid = memory.encoding.grids[place]
            numbers = values.astype(float)
            out.append(float(((numbers < grid[0]) | (numbers > grid[-1])).mean()) if len(grid) else 0.0)
        else:
            known = set(memory.encoding.categories[place - len(memory.encoding.numeric)])
            out.append(float(np.mean([v is not None and v not in known for v in values])))
    return np.array(out)


def broken_columns(memory: Memory, window: Rows, window_scores: Floats, evidence: Evidence, seed: int) -> list[Treated]:
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
    readings = [
        diagnose_columns(memory, window, window_scores, which, (trusted, w, seed)) for w in (plain, weight)
    ]
    best = [a if a.explained >= b.explained else b for a, b in zip(*readings, strict=True)]
    return [t for t, place in zip(best, which, strict=True) if _is_broken(t, place, evidence, bool(trusted[place]))]


def _most_moved(evidence: Evidence, suspects: Mask) -> list[int]:
    movement = evidence.movement
    size = np.maximum(movement.marginal, movement.missing) + np.maximum(movement.loosened, 0.0)
    order = sorted(np.flatnonzero(suspects).tolist(), key=lambda j: (-size[j], j))
    return sorted(order[:MOST_COLUMNS])


def _is_broken(treated: Treated, place: int, evidence: Evidence, trusted: bool) -> bool:
    if not treated.operators:
        return False
    movement = evidence.movement
    went_missing = any(o.kind == "missing" for o, _ in treated.operators)
    if went_missing and movement.missing[place] > MARGINAL:
        return True
    if evidence.outside[place] > evidence.tolerance:
        return True
    lead = treated.operators[0][0]
    loosened = movement.loosened[place] > 0.75 * TIES
    if lead.kind in TIED:
        return lead.named and treated.explained > 0.8 and loosened
    if lead.kind == "permute":
        return treated.explained > 0.7 and not trusted
    if lead.kind == "copy":
        return treated.explained > 0.7
    if lead.kind == "scale":
        return treated.explained > 0.75 and (lead.number > 1.5 or lead.number < 0 or 1e-5 < lead.number < 0.65)
    return False


