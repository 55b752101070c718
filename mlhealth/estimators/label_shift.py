"""Is a window the reference with another mix of classes? The test that label-shift methods stand behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BINS = 10
WELL_EXPLAINED = 0.05
"""Share of the columns' excess distance that may remain after weighting by class."""
NOISE = 4.0
"""Standard deviations of a chi-square over its degrees of freedom that count as sampling noise."""


@dataclass(frozen=True)
class LabelShiftFit:
    """Excess distance of the window's columns from the reference, before and after weighting it by class.

    Distances are chi-square statistics over their degrees of freedom, less 1: about 0 when only sampling
    differs.
    """

    before: float
    after: float
    noise: float

    @property
    def nothing_moved(self) -> bool:
        """Whether the window looks like the reference as it is."""
        return self.before < self.noise

    @property
    def accepted(self) -> bool:
        """Whether another mix of classes explains what the window looks like."""
        return not self.nothing_moved and self.after < max(self.noise, WELL_EXPLAINED * self.before)

    @property
    def note(self) -> str | None:
        """Why label shift is not used, or None where it is or nothing moved."""
        if self.accepted or self.nothing_moved:
            return None
        return (
            "another mix of classes does not explain the columns "
            f"(excess distance {self.before:.2f} before, {self.after:.2f} after): taken from calibrated scores"
        )


def label_shift_fit(reference: Floats, weight: Floats, window: Floats) -> LabelShiftFit:
    """Compare the columns of window rows (n, d) with reference rows (n_r, d), as they are and weighted (n_r,)."""
    ones = np.ones(len(reference))
    before = after = 0.0
    freedom = 0
    for column in range(reference.shape[1]):
        slots = _slots(reference[:, column], window[:, column])
        if slots is None:
            continue
        ours, theirs, count = slots
        before += _distance(ours, ones, theirs, count)
        after += _distance(ours, weight, theirs, count)
        freedom += count - 1
    freedom = max(freedom, 1)
    noise = NOISE * float(np.sqrt(2.0 / freedom))
    return LabelShiftFit(before / freedom - 1.0, after / freedom - 1.0, noise)


def _slots(ours: Floats, theirs: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], int] | None:
    """Bin one column at reference quantiles, missing apart; None for a column that never varies."""
    known = ours[np.isfinite(ours)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.zeros(0)
    places = [
        np.where(np.isfinite(v), np.searchsorted(edges, v, side="left"), len(edges) + 1)
        for v in (ours, theirs)
    ]
    used, dense = np.unique(np.concatenate(places), return_inverse=True)
    if len(used) < 2:
        return None
    return dense[: len(ours)], dense[len(ours) :], len(used)


def _distance(ours: NDArray[np.intp], weight: Floats, theirs: NDArray[np.intp], count: int) -> float:
    p = np.bincount(ours, weight, count) / weight.sum()
    q = np.bincount(theirs, minlength=count) / max(len(theirs), 1)
    size = 1.0 / max(len(theirs), 1) + float(weight @ weight) / weight.sum() ** 2
    pooled = np.maximum((p + q) / 2.0, 1.0 / (len(theirs) + len(ours)))
    return float(np.sum((p - q) ** 2 / pooled) / size)
