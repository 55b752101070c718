"""The health score: 100 x (1 - P(the primary metric fell by more than the tolerance)), with status, cause and reasons.

The probability is that of the estimate's own error: its interval is read as a normal curve on either side of its
value. Faults of the data set the status by rules of their own, since a model whose input vanished deserves a look
even where its answers seem to survive. The score never says `healthy` where the estimate cannot stand behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scipy.special import ndtr, ndtri

from mlhealth.detectors.quality import severe
from mlhealth.estimators.metric_names import Metric, metric_of
from mlhealth.reasons import Evidence, reasons
from mlhealth.records import (
    Cause,
    DetectorResult,
    EstimateStatus,
    FeatureQuality,
    HealthScore,
    HealthStatus,
    PerformanceEstimate,
)
from mlhealth.schema import ModelSchema

ABSOLUTE_TOLERANCE = 0.05
"""Of a score that is better when higher, as a fraction of its range."""
RELATIVE_TOLERANCE = 0.20
"""Of an error or cost that is better when lower, as a fraction of its reference value."""
CRITICAL = 20.0
"""Scores up to here are critical."""
HEALTHY = 80.0
"""Scores from here are healthy."""
OUT_OF_SUPPORT_WIDENING = 2.0
"""Where the window has left what the baseline can speak for, its interval is taken this much wider."""


@dataclass(frozen=True)
class Objective:
    """What counts as a drop: a loss of `tolerance`, in units of the metric or of its reference (`relative`)."""

    metric: str
    tolerance: float
    relative: bool = False
    higher_is_better: bool = True

    @classmethod
    def of(cls, metric: str, schema: ModelSchema, tolerance: float | None = None) -> Objective:
        """Return the objective of a metric; raises ConfigError where the model's task has no such metric."""
        known = metric_of(metric, schema)
        return cls(
            metric,
            _default_tolerance(known) if tolerance is None else tolerance,
            relative=not known.higher_is_better,
            higher_is_better=known.higher_is_better,
        )

    def loss(self, value: float, reference: float) -> float:
        """Return how much worse `value` is than `reference`, in units of the tolerance's kind; negative if better.

        >>> round(Objective("accuracy", 0.05).loss(0.71, 0.88), 2)
        0.17
        >>> round(Objective("mae", 0.2, relative=True, higher_is_better=False).loss(15.0, 10.0), 2)
        0.5
        """
        loss = reference - value if self.higher_is_better else value - reference
        if not self.relative:
            return loss
        return loss / abs(reference) if reference else float(loss > 0)


@dataclass(frozen=True)
class HealthInputs:
    """All that the score of one window is made of; `realized` holds metrics from labels, where they came."""

    objective: Objective
    estimates: Mapping[str, PerformanceEstimate]
    drift: Mapping[str, DetectorResult] = field(default_factory=dict)
    quality: Mapping[str, FeatureQuality] = field(default_factory=dict)
    realized: Mapping[str, float] = field(default_factory=dict)


def score(inputs: HealthInputs) -> HealthScore:
    """Return the health score of one window."""
    objective = inputs.objective
    estimate = inputs.estimates.get(objective.metric)
    probability = None if estimate is None else probability_of_drop(estimate, objective)
    status = _status(probability, estimate, inputs.quality)
    cause = _cause(status, estimate, inputs)
    evidence = Evidence(objective.metric, estimate, cause, inputs.drift, inputs.quality, inputs.realized)
    return HealthScore(
        score=None if probability is None else 100.0 * (1.0 - probability),
        status=status,
        metric=objective.metric,
        tolerance=objective.tolerance,
        cause=cause,
        reasons=reasons(evidence),
        parts=_parts(probability, inputs),
    )


def probability_of_drop(estimate: PerformanceEstimate, objective: Objective) -> float | None:
    """Return P(the metric is worse than its reference by more than the tolerance), or None where none can be said.

    >>> e = PerformanceEstimate("accuracy", 0.83, 0.80, 0.86, EstimateStatus.OK, "cbpe", 0.88)
    >>> round(probability_of_drop(e, Objective("accuracy", 0.05)), 3)
    0.5
    """
    deviation = standard_deviation(estimate, objective)
    if deviation is None or estimate.value is None or estimate.reference is None:
        return None
    excess = objective.loss(estimate.value, estimate.reference) - objective.tolerance
    if deviation == 0.0:
        return float(excess > 0)
    return float(ndtr(excess / deviation))


def standard_deviation(estimate: PerformanceEstimate, objective: Objective) -> float | None:
    """Return the estimate's standard deviation on the side that matters, in units of `Objective.loss`.

    The interval may be lopsided: the half that reaches towards the edge of the tolerance is the one that counts.
    """
    value, lower, upper, reference = estimate.value, estimate.lower, estimate.upper, estimate.reference
    if value is None or lower is None or upper is None or reference is None:
        return None
    dropped = objective.loss(value, reference) > objective.tolerance
    half = upper - value if dropped == objective.higher_is_better else value - lower
    if objective.relative:
        half = half / abs(reference) if reference else half
    widening = OUT_OF_SUPPORT_WIDENING if estimate.status is EstimateStatus.OUT_OF_SUPPORT else 1.0
    return max(half, 0.0) * widening / float(ndtri((1.0 + estimate.level) / 2.0))


def _default_tolerance(metric: Metric) -> float:
    if not metric.higher_is_better:
        return RELATIVE_TOLERANCE
    span = metric.upper - metric.lower
    return ABSOLUTE_TOLERANCE * (span if metric.lower > -float("inf") else 1.0)


def _status(
    probability: float | None,
    estimate: PerformanceEstimate | None,
    quality: Mapping[str, FeatureQuality],
) -> HealthStatus:
    broken = any(severe(q) for q in quality.values())
    if probability is None or estimate is None:
        return HealthStatus.DEGRADED if broken else HealthStatus.UNKNOWN
    points = 100.0 * (1.0 - probability)
    if points <= CRITICAL or (broken and points <= 50.0):
        return HealthStatus.CRITICAL
    if points < HEALTHY or broken:
        return HealthStatus.DEGRADED
    outside = estimate.status in {EstimateStatus.OUT_OF_SUPPORT, EstimateStatus.NOT_IDENTIFIABLE}
    return HealthStatus.UNKNOWN if outside else HealthStatus.HEALTHY


def _cause(status: HealthStatus, estimate: PerformanceEstimate | None, inputs: HealthInputs) -> Cause | None:
    if _model_wrong(estimate, inputs):
        return Cause.MODEL_WRONG
    if status is HealthStatus.HEALTHY:
        return None
    if any(q.faults for q in inputs.quality.values()) or (estimate and estimate.explanation):
        return Cause.BROKEN_INPUT
    if status is HealthStatus.UNKNOWN:
        return Cause.CANNOT_TELL
    drifted = any(result.drifted for result in inputs.drift.values())
    return Cause.HARDER_TRAFFIC if drifted else Cause.CANNOT_TELL


def _model_wrong(estimate: PerformanceEstimate | None, inputs: HealthInputs) -> bool:
    """Whether labels show a loss beyond the tolerance that the inputs do not explain."""
    objective = inputs.objective
    realized = inputs.realized.get(objective.metric)
    if estimate is None or realized is None or estimate.reference is None or estimate.lower is None:
        return False
    lost = objective.loss(realized, estimate.reference) > objective.tolerance
    bound = estimate.lower if objective.higher_is_better else estimate.upper
    unforeseen = bound is not None and objective.loss(realized, bound) > 0
    return lost and unforeseen


def _parts(probability: float | None, inputs: HealthInputs) -> dict[str, float]:
    objective = inputs.objective
    estimate = inputs.estimates.get(objective.metric)
    parts: dict[str, float] = {}
    if probability is not None:
        parts["probability_of_drop"] = probability
    if estimate is not None:
        named = {name: getattr(estimate, name) for name in ("value", "lower", "upper", "reference")}
        parts |= {name: value for name, value in named.items() if value is not None}
        if estimate.value is not None and estimate.reference is not None:
            parts["loss"] = objective.loss(estimate.value, estimate.reference)
    if inputs.drift:
        parts["drifted_features"] = sum(r.drifted for r in inputs.drift.values()) / len(inputs.drift)
    if inputs.quality:
        parts["faulty_features"] = sum(bool(q.faults) for q in inputs.quality.values()) / len(inputs.quality)
    if objective.metric in inputs.realized:
        parts["realized"] = inputs.realized[objective.metric]
    return parts
