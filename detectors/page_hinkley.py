"""Page-Hinkley test on a series, such as a column's mean or a drift statistic from window to window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True)
class PageHinkley:
    """Cumulative sum of how far values rise above their running mean; drifts when it exceeds `limit` over its least.

    Page (1954), Continuous inspection schemes; Hinkley (1971). `slack`: rise per value that is forgiven. `limit` and
    `slack` are in the series' own unit. After a drift the test begins anew with the next value.

    >>> test = PageHinkley(limit=3.0, slack=0.1)
    >>> for value in [0.0, 0.1, -0.1, 0.0, 2.0, 2.0, 2.0]:
    ...     test = test.update(value)
    >>> test.drifted, test.values
    (True, 7)
    """

    limit: float
    slack: float = 0.0
    values: int = 0
    mean: float = 0.0
    total: float = 0.0
    least: float = 0.0
    drifted: bool = False

    def update(self, value: float) -> Self:
        """Return the test after one more value."""
        start = self._anew() if self.drifted else self
        values = start.values + 1
        mean = start.mean + (value - start.mean) / values
        total = start.total + value - mean - self.slack
        least = min(start.least, total)
        drifted = total - least > self.limit
        return replace(self, values=values, mean=mean, total=total, least=least, drifted=drifted)

    def _anew(self) -> Self:
        return replace(self, values=0, mean=0.0, total=0.0, least=0.0, drifted=False)
