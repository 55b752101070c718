"""One feature's distribution in the baseline and in a window, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mlhealth.dashboards.drawing import Drawing
from mlhealth.dashboards.theme import LIGHT, Theme, empty_figure, say
from mlhealth.dashboards.wording import number, plain, shortened
from mlhealth.profile.bins import Bins, CategoryBins, NumericBins

BARS = 24
"""Bars of a numeric histogram; a baseline's bins are finer, and narrow where data is dense."""
CATEGORIES = 12
"""Categories shown by name; the others share one bar."""


@dataclass(frozen=True)
class FeatureCounts:
    """One feature's counts in the baseline and in a window, over the same bins, each (bins.size,)."""

    name: str
    bins: Bins
    baseline: NDArray[np.int64]
    window: NDArray[np.int64]


@dataclass(frozen=True)
class _Bars:
    """What is drawn: labels, and the share of rows in each bar, in the baseline and in the window, (n,)."""

    labels: tuple[str, ...]
    baseline: NDArray[np.float64]
    window: NDArray[np.float64]

    def seen(self) -> _Bars:
        """Return the bars that are not empty on both sides."""
        kept = np.flatnonzero(self.baseline + self.window > 0)
        return _Bars(tuple(self.labels[n] for n in kept), self.baseline[kept], self.window[kept])

    def then(self, other: _Bars) -> _Bars:
        """Return these bars, then the other's."""
        baseline, window = (
            np.r_[a, b] for a, b in ((self.baseline, other.baseline), (self.window, other.window))
        )
        return _Bars(self.labels + other.labels, baseline, window)


def distribution_figure(feature: FeatureCounts, *, theme: Theme = LIGHT, height: int = 230) -> Drawing:
    """Return the shares of a feature's values in the window (bars) and in the baseline (strokes).

    Numbers are in order of size, with what lies outside the baseline's range at the ends; categories by their larger
    share. Missing, unseen and non-finite values stand apart on the right.
    """
    figure = empty_figure(theme, height=height)
    if feature.window.sum() == 0:
        return say(figure, "No rows in this window", theme)
    numeric = isinstance(feature.bins, NumericBins)
    bars = (
        _numeric_bars(feature, feature.bins)
        if isinstance(feature.bins, NumericBins)
        else _category_bars(feature)
    )
    x = list(range(len(bars.labels)))
    names = [plain(label) for label in bars.labels]
    hover = "%{customdata}<br>%{fullData.name}: %{y:.1%}<extra></extra>"
    drawn = {"x": x, "customdata": names, "hovertemplate": hover}
    figure.add_bar(
        y=bars.window, name="this window", marker={"color": theme.estimate, "opacity": 0.75}, **drawn
    )
    stroke = {"symbol": "line-ew", "size": 11, "line": {"width": 2.6, "color": theme.limit}}
    figure.add_scatter(y=bars.baseline, name="baseline", mode="markers", marker=stroke, **drawn)
    step = max(1, len(x) // 7) if numeric else 1
    odd = [n for n in x if not _is_number(bars.labels[n])]
    ticks = (
        [n for n in x if n in odd or (n % step == 0 and not {n + 1, n + 2} & set(odd[-3:]))] if numeric else x
    )
    texts = [plain(shortened(bars.labels[n].split(" to ")[0], 14)) for n in ticks]
    figure.update_xaxes(tickvals=ticks, ticktext=texts, showgrid=False, tickangle=-35, automargin=True)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", nticks=5)
    figure.update_layout(bargap=0.14)
    return figure


def _is_number(label: str) -> bool:
    return label[:1].isdigit() or label[:1] == "-"


def _shares(feature: FeatureCounts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the counts as fractions of all rows, (bins.size,) each."""
    baseline, window = (counts / max(int(counts.sum()), 1) for counts in (feature.baseline, feature.window))
    return baseline, window


def _numeric_bars(feature: FeatureCounts, bins: NumericBins) -> _Bars:
    """Return bars of equal width over the bulk of the baseline, tails and odd values at the ends."""
    baseline, window = _shares(feature)
    inside = bins.regular
    edges = _bar_edges(np.asarray(bins.edges), baseline[inside])
    labels = tuple(f"{number(float(a))} to {number(float(b))}" for a, b in pairwise(edges))
    middle = _Bars(labels, *(_rebinned(bins, share[inside], edges) for share in (baseline, window)))
    below = _slots(baseline, window, {f"below {number(bins.edges[0])}": bins.underflow})
    above = {
        f"above {number(bins.edges[-1])}": bins.overflow,
        "missing": bins.missing,
        "not finite": bins.non_finite,
    }
    return below.seen().then(middle).then(_slots(baseline, window, above).seen())


def _slots(baseline: NDArray[np.float64], window: NDArray[np.float64], slots: dict[str, int]) -> _Bars:
    at = list(slots.values())
    return _Bars(tuple(slots), baseline[at], window[at])


def _bar_edges(edges: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of the bars: the bins themselves where few, else BARS over the middle 98 % and the tails."""
    if len(edges) - 1 <= BARS or share.sum() == 0:
        return edges
    reached = np.cumsum(share) / share.sum()
    low = edges[int(np.searchsorted(reached, 0.01))]
    high = edges[min(int(np.searchsorted(reached, 0.99)) + 1, len(edges) - 1)]
    return np.unique(np.r_[edges[0], np.linspace(low, high, BARS - 1), edges[-1]])


def _rebinned(
    bins: NumericBins, share: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return shares over `edges`, each bin's spread evenly over its width."""
    if len(edges) == len(bins.edges):
        return share
    reached = np.r_[0.0, np.cumsum(share)]
    return np.diff(np.interp(edges, np.asarray(bins.edges), reached))


def _category_bars(feature: FeatureCounts) -> _Bars:
    """Return a bar for each of the most frequent categories, then the others together, unseen and missing ones."""
    bins = feature.bins
    assert isinstance(bins, CategoryBins)
    baseline, window = _shares(feature)
    m = len(bins.categories)
    order = np.argsort(-np.maximum(baseline[:m], window[:m]), kind="stable")
    shown, others = order[:CATEGORIES], np.r_[order[CATEGORIES:], m].astype(np.intp)
    named = _Bars(tuple(bins.categories[n] for n in shown), baseline[shown], window[shown])
    other = _Bars(("other",), baseline[others].sum(keepdims=True), window[others].sum(keepdims=True))
    odd = _slots(baseline, window, {"unseen": bins.unseen, "missing": bins.missing})
    return named.then(other.then(odd).seen())
