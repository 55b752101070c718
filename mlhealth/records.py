"""The small records that pass between rooms; bulk data is Arrow and lives in `EventBatch` and `WindowProfile`.

All are frozen, all times are integer microseconds since the epoch (UTC), and no float in them is NaN or infinite:
what is not known is `None`, and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class EstimateStatus(StrEnum):
    """How far an estimate can be relied on."""

    OK = "ok"
    WIDENED = "widened"
    OUT_OF_SUPPORT = "out_of_support"
    NOT_IDENTIFIABLE = "not_identifiable"


class HealthStatus(StrEnum):
    """What the health score asks of a person."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Cause(StrEnum):
    """The four kinds of cause, each with its usual owner."""

    HARDER_TRAFFIC = "harder traffic"
    BROKEN_INPUT = "broken input"
    MODEL_WRONG = "model wrong"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class ColumnFault:
    """What is broken: one column's fault, its `kind` in words, the share of rows that have it, and a sentence."""

    column: str
    kind: str
    share: float
    text: str


@dataclass(frozen=True)
class PerformanceEstimate:
    """The value a metric would show for a window if its labels came, with its interval.

    `value`, `lower`, `upper` and `reference` are in the metric's own unit; the interval has coverage `level`.
    All are None when `status` is `not_identifiable`, and `note` then says why. `explanation` is the winning
    explanation of the window in words ("income arrives 100x too large"), where the method has one; `faults` are the
    broken columns among it, the surest first.
    """

    metric: str
    value: float | None
    lower: float | None
    upper: float | None
    status: EstimateStatus
    method: str
    reference: float | None
    level: float = 0.9
    explanation: str | None = None
    note: str | None = None
    faults: tuple[ColumnFault, ...] = ()


@dataclass(frozen=True)
class DetectorResult:
    """One detector's answer about one feature, or about the whole window (`feature` None).

    `statistic` and `threshold` share a unit; `drifted` means statistic > threshold. `p_value` is None where the
    detector has none. `effect` is a size that does not grow with the number of rows. `rows` and `reference_rows`
    are the sample sizes. A statistic that could not be computed is None, and `note` says why.
    """

    detector: str
    feature: str | None
    statistic: float | None
    threshold: float | None
    drifted: bool
    p_value: float | None = None
    effect: float | None = None
    rows: int = 0
    reference_rows: int = 0
    note: str | None = None


@dataclass(frozen=True)
class FeatureQuality:
    """Counts of what was wrong with one feature in a window, as fractions of its rows (0 to 1)."""

    missing: float
    unseen: float
    out_of_range: float
    non_finite: float
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cost:
    """What costs accuracy: a feature that did not keep its distribution, or a segment of the rows.

    `name`: the feature, or the segment's condition in words. `cost`: how much of `metric` is lost by it, in the
    metric's unit, negative where it gains. For segments, `share` and `value` (of the metric) now and in the reference.
    """

    kind: str
    name: str
    features: tuple[str, ...]
    metric: str
    cost: float
    share: float | None = None
    reference_share: float | None = None
    value: float | None = None
    reference_value: float | None = None


@dataclass(frozen=True)
class Reason:
    """One plain sentence why the health score is what it is, most important first."""

    text: str
    feature: str | None = None
    cause: Cause | None = None


@dataclass(frozen=True)
class HealthScore:
    """100 x (1 - P(the primary metric fell by more than the tolerance)), with its parts and reasons.

    `score` is None with status `unknown` when nothing can be said. `parts` are the numbers the score was made of
    (probabilities 0 to 1 and metric values), by name.
    """

    score: float | None
    status: HealthStatus
    metric: str
    tolerance: float
    cause: Cause | None = None
    reasons: tuple[Reason, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, order=True)
class WindowKey:
    """Which window of which model version (and segment) a profile or report speaks of.

    `segment` is "" for the overall window, else "column=value". `start` and `end` are event times; windows counted
    by rows in files carry the first and last row number there instead.
    """

    model: str
    version: str
    segment: str
    start: int
    end: int


class LabelDesign(StrEnum):
    """How the labels of a window came about, which decides what may be concluded from them."""

    WHOLE = "whole"
    ARRIVED = "arrived"
    DRAWN = "drawn"


@dataclass(frozen=True)
class LabelReport:
    """What labels say of a window, apart from the estimate that needs none.

    `labelled` of the `kept` rows of the window's sample have a label. `design`: `whole`, all of them; `arrived`, some,
    as they came; `drawn`, rows chosen with known probabilities. `estimates`: by metric, from the labels, corrected
    where rows have none. `intervals`: (lower, upper) by sampling, of each metric in `WindowReport.realized`.
    `selective`: the labelled rows differ from the others; there are no `estimates` then, and `note` says so.
    """

    design: LabelDesign
    labelled: int
    kept: int
    selective: bool = False
    estimates: Mapping[str, PerformanceEstimate] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True)
class WindowReport:
    """A window's whole outcome: what was measured, what is estimated, and what it means.

    `realized`: metrics from labels, where they came; `labels`: how many, how they came, and what follows from them.
    `faults`: what is broken. `costs`: what costs accuracy, features and then segments, the dearest first.
    `rows`: how many were seen. Of a sampled log, `events` is the estimated number of events that they stand for, and
    `effective_rows` how many rows without weights would say as much; None where the log is whole.
    """

    key: WindowKey
    revision: int
    baseline: str
    rows: int
    estimates: Mapping[str, PerformanceEstimate]
    health: HealthScore
    drift: Mapping[str, DetectorResult]
    detectors: tuple[DetectorResult, ...] = ()
    quality: Mapping[str, FeatureQuality] = field(default_factory=dict)
    realized: Mapping[str, float] = field(default_factory=dict)
    labels: LabelReport | None = None
    faults: tuple[ColumnFault, ...] = ()
    costs: tuple[Cost, ...] = ()
    events: int | None = None
    effective_rows: int | None = None

    @property
    def volume(self) -> int:
        """Number of events of the traffic: of a sampled log an estimate, else the rows."""
        return self.rows if self.events is None else self.events

    @property
    def telling_rows(self) -> int:
        """How many rows speak for the window's numbers: the effective ones of a sampled log, else the rows."""
        return self.rows if self.effective_rows is None else self.effective_rows


class AlertState(StrEnum):
    """Where an alert is in its life."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Alert:
    """One rule's state for one model version and segment.

    `since` is the event time (window end) at which the present state began, `fired_at` that of the last firing.
    `fingerprint` identifies rule + model + version + segment and is the dedup key of receivers.
    """

    rule: str
    model: str
    version: str
    segment: str
    state: AlertState
    severity: str
    since: int
    fired_at: int | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    fingerprint: str


class RetrainingStatus(StrEnum):
    """How far a retraining request has come."""

    REFUSED = "refused"
    REQUESTED = "requested"
    SUBMITTED = "submitted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class RetrainingRequest:
    """Why a model should be trained again, on what evidence, and how that went.

    `id` is also the idempotency key given to the training service. The data window is event time.
    """

    id: str
    model: str
    version: str
    rule: str
    reason: str
    service: str
    data_start: int
    data_end: int
    evidence: Mapping[str, object]
    status: RetrainingStatus
    created: int
    job: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Rejection:
    """Why one event could not be used, and where it lies; never its body, which may hold personal data."""

    source: str
    partition: int
    offset: int
    row: int
    reason: str
