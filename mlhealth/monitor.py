"""`evaluate`: the pure middle. A window's profile and the baseline in, the window's whole outcome out.

Estimation on a file, back-test, replay and the live worker all come through here, so their numbers are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import pyarrow as pa

from mlhealth.baseline.record import Baseline
from mlhealth.causes.broken import Seen, broken_columns
from mlhealth.causes.costs import Asked, CostModel
from mlhealth.detectors import Panel, Season, SeasonalPanel, delivery_faults, main_drift
from mlhealth.detectors.pinned import check_pinned
from mlhealth.detectors.sample_nulls import MultivariatePanel
from mlhealth.detectors.thresholds import Threshold
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.metrics import realised
from mlhealth.estimators.registry import estimator_named
from mlhealth.estimators.rows import Rows, Scorer, rows_from_table
from mlhealth.fit import default_method
from mlhealth.health import HealthInputs, score
from mlhealth.objective import Objective
from mlhealth.profile.weighing import thinned
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import (
    ColumnFault,
    Cost,
    DetectorResult,
    EstimateStatus,
    PerformanceEstimate,
    WindowKey,
    WindowReport,
)
from mlhealth.scorers.forgiving import ForgivingScorer
from mlhealth.scorers.within_budget import ScorerBudget, ScorerWithinBudget
from mlhealth.segments.reference import SegmentReference, segment_reference, unknown
from mlhealth.segments.splitting import SegmentColumn
from mlhealth.threads import single_threaded

FEWEST_ROWS = 50
"""Windows with fewer rows are not asked what is broken, or what costs accuracy."""
LOST = 0.4
"""Share of the tolerance, or probability of a drop, from which it is asked what costs accuracy."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What a user may choose: the estimation method, the interval's level, what counts as a drop, a live scorer.

    `tolerance`: in units of the primary metric, or of its reference for errors; None is the default of the metric.
    `season`: drift is judged against the same hour or weekday of the reference. `thresholds`: pinned ones, by
    (detector, column), column "" for all. `segments`: columns by which traffic is told apart, the first among which
    the worst segment is sought. `scorer_budget`: what one window may ask the scorer.
    """

    method: str | None = None
    level: float = 0.9
    tolerance: float | None = None
    scorer: Scorer | None = None
    scorer_budget: ScorerBudget = field(default_factory=ScorerBudget)
    season: Season | None = None
    thresholds: Mapping[tuple[str, str], Threshold] = field(default_factory=dict)
    segments: tuple[SegmentColumn, ...] = ()


class Evaluator:
    """A baseline made ready to judge windows; build it once and keep it."""

    def __init__(self, baseline: Baseline, settings: EvaluationSettings | None = None) -> None:
        self.baseline = baseline
        self.settings = settings or EvaluationSettings()
        self.method = self.settings.method or default_method(baseline.estimators)
        self._estimator = self._fitted()
        self._panel = self._made_panel()
        self._multivariate = MultivariatePanel(baseline)
        self._segments: dict[str, SegmentReference | None] = {}
        self._scorer = self._forgiving()
        self.objective = Objective.of(baseline.primary, baseline.schema, self.settings.tolerance)

    def _fitted(self) -> Estimator:
        """Return the method as the baseline holds it, else fitted now to the rows that the baseline has kept."""
        cls = estimator_named(self.method, self.baseline.schema.task)
        held = self.baseline.estimators.get(self.method)
        if held is not None:
            return cls.from_state(held)
        inputs = FitInputs(self._reference, tuple(self.baseline.metrics), seed=self.baseline.seed)
        with single_threaded():
            return cls.fit(inputs)

    def _made_panel(self) -> Panel | SeasonalPanel:
        season, pinned = self.settings.season, self.settings.thresholds
        check_pinned(pinned, self.baseline.reference)
        return (
            Panel(self.baseline, pinned) if season is None else SeasonalPanel(self.baseline, season, pinned)
        )

    def _forgiving(self) -> ScorerWithinBudget | None:
        if self.settings.scorer is None:
            return None
        forgiving = ForgivingScorer.of(self.settings.scorer, self._reference)
        return ScorerWithinBudget(forgiving, self.settings.scorer_budget)

    @cached_property
    def _reference(self) -> Rows:
        return rows_from_table(self.baseline.rows, self.baseline.schema)

    @cached_property
    def _cost_model(self) -> CostModel:
        with single_threaded():
            return CostModel(self._reference, self.objective, self.baseline.seed)

    def evaluate(
        self, profile: WindowProfile, key: WindowKey, *, revision: int = 0, sample: pa.Table | None = None
    ) -> WindowReport:
        """Return the report of one window.

        `sample`: canonical rows to estimate from, for a segment, whose profile has none; default the profile's own.
        The same profile gives the same report, whatever the rows' order or how they were split before merging.
        Of a sampled log, everything but volumes is judged as if its effective rows had come.
        """
        seen, profile = profile, profile.effective()
        table = profile.sample if sample is None else thinned(sample)
        rows = None if table is None or table.num_rows == 0 else rows_from_table(table, self.baseline.schema)
        own = self._own_reference(key.segment) if key.segment else None
        detectors, quality = (own.panel if own else self._panel).judge(profile)
        whole = () if key.segment else self._whole(seen, profile)
        estimates, drift = self._estimates(rows), main_drift(detectors)
        if key.segment:
            estimates = own.own(estimates) if own else unknown(estimates, key.segment)
        inputs = HealthInputs(
            objective=self.objective,
            estimates=estimates,
            drift=drift,
            quality=quality,
            realized=self._realized(rows),
            rows=profile.rows,
            faults=self._faults((own.rows if own else self._reference, rows), estimates, (drift, quality)),
            whole=whole,
        )
        if not key.segment:
            inputs = replace(inputs, costs=self._costs(rows, inputs))
        return WindowReport(
            key=key,
            revision=revision,
            baseline=self.baseline.hash,
            rows=seen.rows,
            estimates=estimates,
            health=score(inputs),
            drift=drift,
            detectors=(*detectors, *whole),
            quality=quality,
            realized=inputs.realized,
            faults=inputs.faults,
            costs=inputs.costs,
            events=None if seen.weighing is None else seen.events,
            effective_rows=None if seen.weighing is None else profile.rows,
        )

    def _whole(self, seen: WindowProfile, profile: WindowProfile) -> tuple[DetectorResult, ...]:
        """Return what is said of the window as a whole: rows, not columns; `seen` is it as it was logged."""
        with single_threaded():
            judged = self._multivariate.judge(profile)
        return (*judged, *delivery_faults(seen, self.baseline.reference))

    def _faults(
        self, pair: tuple[Rows, Rows | None], estimates: Mapping[str, PerformanceEstimate], seen: Seen
    ) -> tuple[ColumnFault, ...]:
        """Return what is broken in a window; `pair` is the reference it is compared with, and its rows."""
        reference, rows = pair
        if rows is None or len(rows) < FEWEST_ROWS:
            return ()
        primary = estimates.get(self.objective.metric)
        return broken_columns(reference, rows, seen, () if primary is None else primary.faults)

    def _own_reference(self, segment: str) -> SegmentReference | None:
        if segment not in self._segments:
            settings = self.settings
            self._segments[segment] = segment_reference(
                self.baseline, segment, settings.segments, self._estimates, settings.thresholds
            )
        return self._segments[segment]

    def _costs(self, rows: Rows | None, inputs: HealthInputs) -> tuple[Cost, ...]:
        """Return what costs accuracy, where any seems lost; a window that looks well costs no time."""
        if rows is None or len(rows) < FEWEST_ROWS:
            return ()
        parts = score(inputs).parts
        if (
            parts.get("loss", 0.0) < LOST * self.objective.tolerance
            and parts.get("probability_of_drop", 0.0) < LOST
        ):
            return ()
        estimate = inputs.estimates.get(self.objective.metric)
        broken = {fault.column: fault.share for fault in inputs.faults}
        asked = Asked(estimate, broken, tuple(column.name for column in self.settings.segments))
        with single_threaded():
            return self._cost_model.costs(replace(rows, label=None), asked)

    def _estimates(self, rows: Rows | None) -> Mapping[str, PerformanceEstimate]:
        if rows is None:
            return {name: self._nothing(name) for name in self.baseline.metrics}
        unlabelled = replace(rows, label=None)
        scorer = None if self._scorer is None else self._scorer.next_window()
        with single_threaded():
            return self._estimator.estimate(unlabelled, scorer=scorer, level=self.settings.level)

    def _nothing(self, metric: str) -> PerformanceEstimate:
        return PerformanceEstimate(
            metric=metric,
            value=None,
            lower=None,
            upper=None,
            status=EstimateStatus.NOT_IDENTIFIABLE,
            method=self.method,
            reference=self.baseline.metrics[metric].value,
            level=self.settings.level,
            note="the window has no rows",
        )

    def _realized(self, rows: Rows | None) -> dict[str, float]:
        if rows is None or rows.label is None:
            return {}
        found = realised(rows, tuple(self.baseline.metrics))
        return {name: metric.value for name, metric in found.items() if metric.value is not None}


def evaluate(
    profile: WindowProfile,
    baseline: Baseline,
    key: WindowKey,
    *,
    revision: int = 0,
    settings: EvaluationSettings | None = None,
) -> WindowReport:
    """Return the report of one window; `Evaluator` is quicker for many."""
    return Evaluator(baseline, settings).evaluate(profile, key, revision=revision)
