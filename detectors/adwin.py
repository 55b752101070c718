"""Adaptive windowing on a series: keeps the longest stretch of the past that has one mean."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

MOST = 500
"""Values kept at most: a series of windows is short, so none are put together into buckets."""
SHORTEST = 3
"""Fewest values on either side of a cut."""


@dataclass(frozen=True)
class Adwin:
    """Cuts off the older part of a series when its mean differs from the newer part's beyond the bound of ADWIN2.

    Bifet and Gavalda (2007), Learning from time-changing data with adaptive windowing. `confidence`: probability of
    a cut without a change, over all cuts tried at one value. Values must lie within [0, 1]. `drifted` speaks of the
    last value alone.

    >>> series = Adwin()
    >>> for value in [0.1] * 30 + [0.8] * 40:
    ...     series = series.update(value)
    >>> len(series.kept), round(series.mean, 1)
    (40, 0.8)
    """

    confidence: float = 0.002
    kept: tuple[float, ...] = ()
    drifted: bool = False

    @property
    def mean(self) -> float:
        """Mean of what is kept, 0 of nothing."""
        return math.fsum(self.kept) / len(self.kept) if self.kept else 0.0

    def update(self, value: float) -> Self:
        """Return the series after one more value."""
        kept = (*self.kept, value)[-MOST:]
        cut = self._cut(kept)
        drifted = cut > 0
        while cut:
            kept = kept[cut:]
            cut = self._cut(kept)
        return replace(self, kept=kept, drifted=drifted)

    def _cut(self, kept: tuple[float, ...]) -> int:
        """Return where the older part ends that must go, or 0."""
        n, total = len(kept), math.fsum(kept)
        variance = math.fsum((v - total / n) ** 2 for v in kept) / n
        share = math.log(2.0 * math.log(max(n, 3)) / self.confidence)
        older = math.fsum(kept[: SHORTEST - 1])
        for i in range(SHORTEST, n - SHORTEST + 1):
            older += kept[i - 1]
            inverse = 1.0 / i + 1.0 / (n - i)
            bound = math.sqrt(2.0 * inverse * variance * share) + 2.0 / 3.0 * inverse * share
            if abs(older / i - (total - older) / (n - i)) > bound:
                return i
        return 0
