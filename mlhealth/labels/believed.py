"""Two estimates of one window, with and without labels, and which of them is believed."""

from __future__ import annotations

from dataclasses import replace
from math import hypot, inf

from mlhealth.records import EstimateStatus, LabelReport, PerformanceEstimate

TRUSTED = frozenset({EstimateStatus.OK, EstimateStatus.WIDENED})


def estimate_of_labels(labels: LabelReport | None, metric: str) -> PerformanceEstimate | None:
    """Return what labels say of `metric`, None where none came or they say nothing."""
    found = None if labels is None else labels.estimates.get(metric)
    return None if found is None or found.value is None else found


def contradicts(a: PerformanceEstimate, b: PerformanceEstimate) -> bool:
    """Whether two independent estimates lie further apart than both their intervals, taken together, allow.

    >>> e = PerformanceEstimate("accuracy", 0.88, 0.86, 0.90, EstimateStatus.OK, "mpp", 0.88)
    >>> contradicts(e, replace(e, value=0.84, lower=0.80, upper=0.88))
    False
    >>> contradicts(e, replace(e, value=0.80, lower=0.77, upper=0.83))
    True
    """
    if a.value is None or b.value is None:
        return False
    low, high = (a, b) if a.value <= b.value else (b, a)
    assert low.value is not None
    assert high.value is not None
    return high.value - low.value > hypot(_above(low), _below(high))


def believed(
    estimate: PerformanceEstimate | None, seen: PerformanceEstimate | None
) -> PerformanceEstimate | None:
    """Return what is believed of a metric: `estimate` needs no labels, `seen` comes from them.

    Labels are unbiased but few, the estimate is sharp but blind to concept drift. Where they contradict each other, or
    the estimate has left its support, labels decide; else both are weighed by the inverse squares of their half-widths.

    >>> e = PerformanceEstimate("accuracy", 0.88, 0.86, 0.90, EstimateStatus.OK, "mpp", 0.88)
    >>> both = believed(e, replace(e, value=0.84, lower=0.80, upper=0.88))
    >>> round(both.value, 3), round(both.lower, 3), round(both.upper, 3)
    (0.872, 0.854, 0.89)
    >>> believed(e, replace(e, value=0.7, lower=0.66, upper=0.74)).value
    0.7
    """
    if seen is None or seen.value is None:
        return estimate
    labelled = seen.value
    if estimate is not None and estimate.reference is not None:
        # A segment's estimate is told against the segment's own reference.
        seen = replace(seen, reference=estimate.reference)
    if estimate is None or estimate.value is None or estimate.status not in TRUSTED:
        return seen
    half = (_below(seen) + _above(seen)) / 2.0
    other = (_below(estimate) + _above(estimate)) / 2.0
    if half == 0.0 or contradicts(estimate, seen):
        return seen
    share = other**2 / (half**2 + other**2)
    value = share * labelled + (1.0 - share) * estimate.value
    below, above = (_together(f(seen), f(estimate)) for f in (_below, _above))
    return replace(seen, value=value, lower=value - below, upper=value + above, status=EstimateStatus.OK)


def _together(a: float, b: float) -> float:
    return 0.0 if a == 0.0 or b == 0.0 else (a**-2 + b**-2) ** -0.5


def _below(estimate: PerformanceEstimate) -> float:
    return inf if estimate.value is None or estimate.lower is None else estimate.value - estimate.lower


def _above(estimate: PerformanceEstimate) -> float:
    return inf if estimate.value is None or estimate.upper is None else estimate.upper - estimate.value
