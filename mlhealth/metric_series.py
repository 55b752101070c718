"""Prometheus metrics with a bounded number of series: whatever names arrive, a scrape stays small."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Self

from prometheus_client import Counter, Gauge
from prometheus_client.metrics import MetricWrapperBase


class _Bounded(MetricWrapperBase):
    """A metric that has at most so many series; a value for one more goes nowhere, and is counted."""

    _most: int | None = None
    _left_out: Counter | None = None
    _nowhere: Any

    def bound(self, most: int, left_out: Counter) -> None:
        """Allow at most `most` series; count values that have none in `left_out`, by the metric's name."""
        self._most, self._left_out = most, left_out
        self._shown: set[tuple[str, ...]] = set()
        self._nowhere = type(self)("nowhere", "Values that have no series.", registry=None)

    def labels(self, *labelvalues: Any, **labelkwargs: Any) -> Self:
        """Return the series of these labels, or one that nobody reads where there are too many."""
        if self._most is None or labelkwargs:
            return super().labels(*labelvalues, **labelkwargs)
        key = tuple(map(str, labelvalues))
        if key not in self._shown:
            if len(self._shown) >= self._most:
                assert self._left_out is not None
                self._left_out.labels(self._name).inc()
                nowhere: Self = self._nowhere
                return nowhere
            self._shown.add(key)
        return super().labels(*labelvalues)

    def clear(self) -> None:
        """Drop every series."""
        super().clear()
        if self._most is not None:
            self._shown.clear()

    def keep_only(self, prefix: tuple[str, ...], rest: Collection[tuple[str, ...]]) -> None:
        """Drop the series whose labels begin with `prefix` and do not go on with one of `rest`."""
        for key in [k for k in self._shown if k[: len(prefix)] == prefix and k[len(prefix) :] not in rest]:
            self._shown.discard(key)
            self.remove(*key)


class BoundedGauge(_Bounded, Gauge):
    """A gauge with a bounded number of series."""


class BoundedCounter(_Bounded, Counter):
    """A counter with a bounded number of series."""
