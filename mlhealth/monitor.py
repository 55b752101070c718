"""`evaluate`: the pure middle. A window's profile and the baseline in, the window's whole outcome out.

Estimation on a file, back-test, replay and the live worker all come through here, so their numbers are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from mlhealth.baseline import Baseline
from mlhealth.detectors import Panel, Season, SeasonalPanel, main_drift
from mlhealth.errors import ConfigError
from mlhealth.estimators.metrics import realised
from mlhealth.estimators.registry import estimator_named
from mlhealth.estimators.rows import Rows, Scorer, rows_from_table
from mlhealth.fit import default_method
from mlhealth.forgiving_scorer import ForgivingScorer
from mlhealth.health import HealthInputs, score
from mlhealth.objective import Objective
from mlhealth.profile import WindowProfile
from mlhealth.records import EstimateStatus, PerformanceEstimate, WindowKey, WindowReport
from mlhealth.threads import single_threaded


@dataclass(frozen=True)
class EvaluationSettings:
    """What a user may choose: the estimation method, the interval's level, what counts as a drop, a live scorer.

    `tolerance`: in units of the primary metric, or of its reference for errors; None is the default of the metric.
    `season`: drift is judged against the same hour or weekday of the reference.
    """

    method: str | None = None
    level: float = 0.9
    tolerance: float | None = None
    scorer: Scorer | None = None
    season: Season | None = None


class Evaluator:
    """A baseline made ready to judge windows; build it once and keep it."""

    def __init__(self, baseline: Baseline, settings: EvaluationSettings | None = None) -> None:
        self.baseline = baseline
        self.settings = settings or EvaluationSettings()
        self.method = self.settings.method or default_method(baseline.estimators)
        if self.method not in baseline.estimators:
            known = ", ".join(baseline.estimators)
            raise ConfigError(f"the baseline was not fitted with method {self.method!r}: it has {known}")
        cls = estimator_named(self.method, baseline.schema.task)
        self._estimator = cls.from_state(baseline.estimators[self.method])
        season = self.settings.season
        self._panel = Panel(baseline) if season is None else SeasonalPanel(baseline, season)
        self._scorer = self._forgiving()
        self.objective = Objective.of(baseline.primary, baseline.schema, self.settings.tolerance)

    def _forgiving(self) -> Scorer | None:
        if self.settings.scorer is None:
            return None
        rows = rows_from_table(self.baseline.rows, self.baseline.schema)
        return ForgivingScorer.of(self.settings.scorer, rows)

    def evaluate(
        self, profile: WindowProfile, key: WindowKey, *, revision: int = 0, sample: pa.Table | None = None
    ) -> WindowReport:
        """Return the report of one window.

        `sample`: canonical rows to estimate from, for a segment, whose profile has none; default the profile's own.
        The same profile gives the same report, whatever the rows' order or how they were split before merging.
        """
        table = profile.sample if sample is None else sample
        rows = None if table is None or table.num_rows == 0 else rows_from_table(table, self.baseline.schema)
        detectors, quality = self._panel.judge(profile)
        inputs = HealthInputs(
            objective=self.objective,
            estimates=self._estimates(rows),
            drift=main_drift(detectors),
            quality=quality,
            realized=self._realized(rows),
            rows=profile.rows,
        )
        health = score(inputs)
        return WindowReport(
            key=key,
            revision=revision,
            baseline=self.baseline.hash,
            rows=profile.rows,
            estimates=inputs.estimates,
            health=health,
            drift=inputs.drift,
            detectors=detectors,
            quality=inputs.quality,
            realized=inputs.realized,
        )

    def _estimates(self, rows: Rows | None) -> Mapping[str, PerformanceEstimate]:
        if rows is None:
            return {name: self._nothing(name) for name in self.baseline.metrics}
        unlabelled = replace(rows, label=None)
        with single_threaded():
            return self._estimator.estimate(unlabelled, scorer=self._scorer, level=self.settings.level)

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
