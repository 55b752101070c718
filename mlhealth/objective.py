"""What counts as harm: how much of which metric may be lost, and how an estimate's loss and its error are read."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import ndtri

from mlhealth.estimators.metric_names import Metric, metric_of
from mlhealth.records import EstimateStatus, PerformanceEstimate
from mlhealth.schema.model_schema import ModelSchema

ABSOLUTE_TOLERANCE = 0.05
"""Of a score that is better when higher, as a fraction of its range."""
RELATIVE_TOLERANCE = 0.20
"""Of an error or cost that is better when lower, as a fraction of its reference value."""
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

    def scaled(self, amount: float, reference: float) -> float:
        """Return a difference of metric values in units of `loss`."""
        return amount / abs(reference) if self.relative and reference else amount


def standard_deviation(estimate: PerformanceEstimate, objective: Objective) -> float | None:
    """Return the estimate's standard deviation on the side that matters, in units of `Objective.loss`.

    The interval may be lopsided: the half that reaches towards the edge of the tolerance is the one that counts.
    None where the estimate has no value, interval or reference.
    """
    value, lower, upper, reference = estimate.value, estimate.lower, estimate.upper, estimate.reference
    if value is None or lower is None or upper is None or reference is None:
        return None
    dropped = objective.loss(value, reference) > objective.tolerance
    half = objective.scaled(
        upper - value if dropped == objective.higher_is_better else value - lower, reference
    )
    widening = OUT_OF_SUPPORT_WIDENING if estimate.status is EstimateStatus.OUT_OF_SUPPORT else 1.0
    return max(half, 0.0) * widening / float(ndtri((1.0 + estimate.level) / 2.0))


def _default_tolerance(metric: Metric) -> float:
    if not metric.higher_is_better:
        return RELATIVE_TOLERANCE
    span = metric.upper - metric.lower
    return ABSOLUTE_TOLERANCE * (span if metric.lower > -float("inf") else 1.0)
