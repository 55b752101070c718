"""Whether a value that grew frequent came with a group of rows, as traffic does, or was written into all alike.

A fault upstream that writes one value into some rows takes no notice of what else those rows hold. So where other
columns have moved too, the rows without the value must have moved like the rest. If those stand where the reference
has them, the value and the other columns' movement arrived in the same rows: a campaign, a new region, a new client.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.ensemble.operators import Values
from mlhealth.estimators.ensemble.screening import MARGINAL, ks_distance

Floats = NDArray[np.float64]
LEAST_ROWS = 50
"""Rows without the value below which nothing is said of them."""

Sample = tuple[Values, Floats]
"""A column's values (n,), and the normal scores of all columns (n, d)."""


def came_with_others(value: object, reference: Sample, window: Sample, moved: NDArray[np.bool_]) -> bool:
    """Whether a column of `moved` (d,) has moved, but surely less so, and no more than by chance, where `value` is not.

    Distances are Kolmogorov-Smirnov's, of normal scores.
    """
    (before, old), (after, new) = reference, window
    rest = old[before != value], new[after != value]
    if min(len(part) for part in rest) < LEAST_ROWS:
        return False
    noise = float(np.sqrt(sum(1.0 / len(part) for part in rest)))
    for place in np.flatnonzero(moved):
        whole, without = (_apart(a[:, place], b[:, place]) for a, b in ((old, new), rest))
        if without < min(MARGINAL * noise, whole - noise):
            return True
    return False


def _apart(old: Floats, new: Floats) -> float:
    return ks_distance(np.sort(old), np.sort(new))
