"""Two versions of one model on the same windows: estimates, what they predict, and where they disagree.

The champion answers for real; the challenger runs beside it, on the same events (shadow)
or on a share of them (canary).
Pure. Differences are challenger minus champion, in the metric's unit. Their interval takes the two estimates' errors
as independent; on the same events they are rather positively related, so it is, if anything, too wide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mlhealth.records import EstimateStatus, PerformanceEstimate, WindowReport

BINS = 20
"""Bins of the histograms by which predictions of regressors are compared."""
_USABLE = (EstimateStatus.OK, EstimateStatus.WIDENED)


@dataclass(frozen=True)
class Answers:
    """What one version answered in a window: event keys, ascending and unique, and predictions, both (n,).

    Predictions are class names for a classifier, else numbers.
    """

    keys: NDArray[np.uint64]
    predictions: NDArray[np.str_] | NDArray[np.float64]

    @property
    def are_classes(self) -> bool:
        """Whether the predictions are class names."""
        return self.predictions.dtype.kind in "UO"


@dataclass(frozen=True)
class Side:
    """One version's part of a window."""

    report: WindowReport
    answers: Answers | None = None


@dataclass(frozen=True)
class Difference:
    """Challenger minus champion of one metric, with its 90 % interval; None where either is not known."""

    metric: str
    champion: float | None
    challenger: float | None
    value: float | None = None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Disagreement:
    """Events that both versions answered: how many, and how far apart their answers are.

    `share` of them were answered differently (classes); `mean` is the mean absolute difference (numbers).
    """

    pairs: int
    share: float | None = None
    mean: float | None = None


@dataclass(frozen=True)
class WindowComparison:
    """One window of both versions.

    `predictions`: Jensen-Shannon distance (0 to 1) of the two distributions of predictions; `histogram_rmse`: the root
    of their histograms' mean squared difference over bins that either fills.
    """

    start: int
    end: int
    rows: tuple[int, int]
    metrics: Mapping[str, Difference]
    predictions: float | None = None
    histogram_rmse: float | None = None
    disagreement: Disagreement | None = None


@dataclass(frozen=True)
class Comparison:
    """Both versions over all windows that both have; `metrics` are means over windows, `verdict` is of the primary."""

    model: str
    champion: str
    challenger: str
    metric: str
    verdict: str
    windows: tuple[WindowComparison, ...]
    metrics: Mapping[str, Difference] = field(default_factory=dict)
    disagreement: Disagreement | None = None


BETTER, WORSE, SAME, UNKNOWN = (
    "challenger better",
    "challenger worse",
    "cannot tell apart",
    "no common windows",
)


def compare_window(champion: Side, challenger: Side) -> WindowComparison:
    """Return one window's comparison."""
    key = champion.report.key
    ours, theirs = champion.report.estimates, challenger.report.estimates
    distance, rmse, apart = None, None, None
    if champion.answers is not None and challenger.answers is not None:
        a, b = _histograms(champion.answers, challenger.answers)
        distance, rmse = jensen_shannon(a, b), histogram_rmse(a, b)
        apart = disagreement(champion.answers, challenger.answers)
    return WindowComparison(
        start=key.start,
        end=key.end,
        rows=(champion.report.rows, challenger.report.rows),
        metrics={name: _difference(name, ours[name], theirs[name]) for name in ours if name in theirs},
        predictions=distance,
        histogram_rmse=rmse,
        disagreement=apart,
    )


def summarise(
    names: tuple[str, str, str], windows: Sequence[WindowComparison], metric: str, higher: bool
) -> Comparison:
    """Return all windows compared. `names`: model, champion, challenger; `higher`: more of `metric` is better."""
    metrics = {
        name: _mean(name, [w.metrics[name] for w in windows if name in w.metrics])
        for name in _metrics(windows)
    }
    return Comparison(
        *names, metric, _verdict(metrics.get(metric), higher), tuple(windows), metrics, _pooled(windows)
    )


def disagreement(a: Answers, b: Answers) -> Disagreement:
    """Return how far apart two versions' answers to the same events are."""
    _, mine, yours = np.intersect1d(a.keys, b.keys, assume_unique=True, return_indices=True)
    pairs = len(mine)
    if pairs == 0:
        return Disagreement(0)
    if a.are_classes:
        return Disagreement(pairs, share=float(np.mean(a.predictions[mine] != b.predictions[yours])))
    apart = np.abs(a.predictions[mine].astype(float) - b.predictions[yours].astype(float))
    return Disagreement(pairs, mean=float(apart.mean()))


def jensen_shannon(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the Jensen-Shannon distance of two histograms, 0 to 1: the root of the divergence in bits (Lin 1991)."""
    p, q = a / max(a.sum(), 1.0), b / max(b.sum(), 1.0)
    m = (p + q) / 2

    def divergence(x: NDArray[np.float64]) -> float:
        some = x > 0
        return float(np.sum(x[some] * np.log2(x[some] / m[some])))

    return math.sqrt(max((divergence(p) + divergence(q)) / 2, 0.0))


def histogram_rmse(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the root mean squared difference of two normalised histograms over the bins that either fills."""
    p, q = a / max(a.sum(), 1.0), b / max(b.sum(), 1.0)
    filled = (p > 0) | (q > 0)
    return float(np.sqrt(np.mean((p[filled] - q[filled]) ** 2))) if filled.any() else 0.0


def _histograms(a: Answers, b: Answers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if a.are_classes:
        names = np.unique(np.concatenate([a.predictions, b.predictions]))
        counts = [np.bincount(np.searchsorted(names, x.predictions), minlength=len(names)) for x in (a, b)]
    else:
        both = np.concatenate([a.predictions, b.predictions]).astype(float)
        edges = np.histogram_bin_edges(both, BINS)
        counts = [np.histogram(x.predictions.astype(float), edges)[0] for x in (a, b)]
    return counts[0].astype(np.float64), counts[1].astype(np.float64)


def _difference(name: str, ours: PerformanceEstimate, theirs: PerformanceEstimate) -> Difference:
    if ours.value is None or theirs.value is None:
        return Difference(name, ours.value, theirs.value)
    value = theirs.value - ours.value
    halves = [_half(e) for e in (ours, theirs)]
    if None in halves or ours.status not in _USABLE or theirs.status not in _USABLE:
        return Difference(name, ours.value, theirs.value, value)
    half = math.hypot(*(h for h in halves if h is not None))
    return Difference(name, ours.value, theirs.value, value, value - half, value + half)


def _half(estimate: PerformanceEstimate) -> float | None:
    if estimate.lower is None or estimate.upper is None:
        return None
    return (estimate.upper - estimate.lower) / 2


def _metrics(windows: Sequence[WindowComparison]) -> list[str]:
    return list(dict.fromkeys(name for window in windows for name in window.metrics))


def _mean(name: str, parts: Sequence[Difference]) -> Difference:
    """Return the mean over windows. Its interval does not shrink with them: versions err the same way in each."""
    known = [p for p in parts if p.champion is not None and p.challenger is not None and p.value is not None]
    if not known:
        return Difference(name, None, None)
    champion = float(np.mean([p.champion for p in known if p.champion is not None]))
    challenger = float(np.mean([p.challenger for p in known if p.challenger is not None]))
    value = challenger - champion
    halves = [(p.upper - p.lower) / 2 for p in known if p.upper is not None and p.lower is not None]
    if len(halves) < len(known):
        return Difference(name, champion, challenger, value)
    half = float(np.mean(halves))
    return Difference(name, champion, challenger, value, value - half, value + half)


def _verdict(found: Difference | None, higher: bool) -> str:
    if found is None or found.value is None:
        return UNKNOWN
    if found.lower is None or found.upper is None or found.lower <= 0.0 <= found.upper:
        return SAME
    return BETTER if (found.lower > 0.0) is higher else WORSE


def _pooled(windows: Sequence[WindowComparison]) -> Disagreement | None:
    found = [w.disagreement for w in windows if w.disagreement is not None and w.disagreement.pairs]
    pairs = sum(d.pairs for d in found)
    if not pairs:
        return None
    shares = [d.pairs * d.share for d in found if d.share is not None]
    means = [d.pairs * d.mean for d in found if d.mean is not None]
    return Disagreement(pairs, sum(shares) / pairs if shares else None, sum(means) / pairs if means else None)
