"""The health score: 100 x (1 - P(the primary metric fell by more than the tolerance)), with status, cause and reasons.

The probability is that of the estimate's own error: its interval is read as a normal curve on either side of its
value. Faults of the data set the status by rules of their own, since a model whose input vanished deserves a look
even where its answers seem to survive. The score never says `healthy` where the estimate cannot stand behind it.
Labels that came and speak for the window are weighed with the estimate (`believed`): they alone see concept drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from scipy.special import ndtr

from mlhealth.causes.reasons import Evidence, reasons
from mlhealth.detectors.quality import severe
from mlhealth.detectors.window_faults import DUPLICATES, SERIES, VOLUME
from mlhealth.labels.believed import believed, contradicts, estimate_of_labels
from mlhealth.objective import Objective, standard_deviation
from mlhealth.records import (
    Cause,
    ColumnFault,
    Cost,
    DetectorResult,
    EstimateStatus,
    FeatureQuality,
    HealthScore,
    HealthStatus,
    LabelReport,
    PerformanceEstimate,
    Reason,
    WindowReport,
)

CRITICAL = 20.0
"""Scores up to here are critical."""
HEALTHY = 80.0
"""Scores from here are healthy."""
NO_EVENTS = Reason("no events came in this window")
"""The first reason of a window without rows."""
PLAIN = 0.1
"""Share of rows from which a fault is a broken input, whatever else has shifted."""
INPUT_FAULTS = frozenset({DUPLICATES})
"""Faults of delivery that mean broken input: events that came twice. Equal rows alone may be traffic."""
STATUS_FAULTS = INPUT_FAULTS | {VOLUME}
"""Faults of delivery that deserve a look, whatever the estimate: also far too few or too many rows."""


@dataclass(frozen=True)
class HealthInputs:
    """All that the score of one window is made of.

    `realized` holds metrics from labels, where they came; `labels` what follows from those that came late or few.
    `rows`: how many the window has, where that is known. `faults`: what is broken; `costs`: what costs accuracy.
    `whole`: what detectors say of the window as a whole, and of series of windows. `since`: by column at fault, in
    words, from when on it was.
    """

    objective: Objective
    estimates: Mapping[str, PerformanceEstimate]
    drift: Mapping[str, DetectorResult] = field(default_factory=dict)
    quality: Mapping[str, FeatureQuality] = field(default_factory=dict)
    realized: Mapping[str, float] = field(default_factory=dict)
    rows: int | None = None
    labels: LabelReport | None = None
    faults: tuple[ColumnFault, ...] = ()
    costs: tuple[Cost, ...] = ()
    whole: tuple[DetectorResult, ...] = ()
    since: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, report: WindowReport, objective: Objective, since: Mapping[str, str] | None = None) -> Self:
        """Return what the score of a report is made of."""
        whole = tuple(r for r in report.detectors if r.feature is None or r.detector in SERIES)
        return cls(
            objective,
            report.estimates,
            report.drift,
            report.quality,
            report.realized,
            report.telling_rows,
            report.labels,
            report.faults,
            report.costs,
            whole,
            since or {},
        )


def score(inputs: HealthInputs) -> HealthScore:
    """Return the health score of one window."""
    objective = inputs.objective
    estimate = inputs.estimates.get(objective.metric)
    seen = estimate_of_labels(inputs.labels, objective.metric)
    told = believed(estimate, seen)
    probability = None if told is None else probability_of_drop(told, objective)
    status = _status(probability, told, inputs)
    cause = _cause(status, estimate, inputs)
    evidence = Evidence(
        objective.metric,
        estimate,
        cause,
        inputs.drift,
        inputs.quality,
        inputs.realized,
        inputs.labels,
        inputs.faults,
        inputs.costs,
        tuple(r for r in inputs.whole if r.drifted),
        inputs.since,
    )
    return HealthScore(
        score=None if probability is None else 100.0 * (1.0 - probability),
        status=status,
        metric=objective.metric,
        tolerance=objective.tolerance,
        cause=cause,
        reasons=(NO_EVENTS, *reasons(evidence)) if inputs.rows == 0 else reasons(evidence),
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


def _status(
    probability: float | None,
    estimate: PerformanceEstimate | None,
    inputs: HealthInputs,
) -> HealthStatus:
    broken = any(severe(q) for q in inputs.quality.values()) or _came_wrongly(inputs, STATUS_FAULTS)
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
    if _is_broken(estimate, inputs):
        return Cause.BROKEN_INPUT
    if status is HealthStatus.UNKNOWN:
        return Cause.CANNOT_TELL
    shifted = estimate is not None and estimate.explanation is not None
    drifted = shifted or any(result.drifted for result in inputs.drift.values())
    return Cause.HARDER_TRAFFIC if drifted else Cause.CANNOT_TELL


def _is_broken(estimate: PerformanceEstimate | None, inputs: HealthInputs) -> bool:
    """Whether the input is broken: a few missing values more are not, where a shift of the mix explains them."""
    if (estimate is not None and estimate.faults) or _came_wrongly(inputs, INPUT_FAULTS):
        return True
    if estimate is None or estimate.explanation is None:
        return bool(inputs.faults) or any(q.faults for q in inputs.quality.values())
    return any(f.share >= PLAIN for f in inputs.faults) or any(severe(q) for q in inputs.quality.values())


def _came_wrongly(inputs: HealthInputs, faults: frozenset[str]) -> bool:
    """Whether rows themselves came wrongly, plainly and in one of these ways."""
    return any(r.drifted and r.detector in faults and (r.statistic or 0.0) >= PLAIN for r in inputs.whole)


def _model_wrong(estimate: PerformanceEstimate | None, inputs: HealthInputs) -> bool:
    """Whether labels show a loss beyond the tolerance that the inputs do not explain."""
    objective = inputs.objective
    if inputs.labels is not None:
        seen = estimate_of_labels(inputs.labels, objective.metric)
        return seen is not None and _unforeseen_loss(estimate, seen, objective)
    realized = inputs.realized.get(objective.metric)
    if estimate is None or realized is None or estimate.reference is None or estimate.lower is None:
        return False
    lost = objective.loss(realized, estimate.reference) > objective.tolerance
    bound = estimate.lower if objective.higher_is_better else estimate.upper
    unforeseen = bound is not None and objective.loss(realized, bound) > 0
    return lost and unforeseen


def _unforeseen_loss(
    estimate: PerformanceEstimate | None, seen: PerformanceEstimate, objective: Objective
) -> bool:
    """Whether labels show a loss beyond the tolerance that the estimate without labels rules out."""
    if estimate is None or estimate.value is None or seen.value is None or seen.reference is None:
        return False
    lost = objective.loss(seen.value, seen.reference) > objective.tolerance
    return lost and objective.loss(seen.value, estimate.value) > 0 and contradicts(estimate, seen)


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
    seen = estimate_of_labels(inputs.labels, objective.metric)
    if seen is not None:
        named = {f"labels_{name}": getattr(seen, name) for name in ("value", "lower", "upper")}
        parts |= {name: value for name, value in named.items() if value is not None}
    return parts
