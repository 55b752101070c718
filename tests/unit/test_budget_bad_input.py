"""Where a budget cannot keep its word it says so, and the verdict is `unknown` rather than `healthy`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlhealth.budget.evidence import GAP, BudgetLimits, BudgetState, Spread, judge
from mlhealth.budget.limits import SURE_FREEDOM
from mlhealth.clock import DAY, HOUR
from mlhealth.config.models import ModelConfig, parse_budget
from mlhealth.configured import MOST_WINDOWS, remarks
from mlhealth.detectors import Panel
from mlhealth.errors import ConfigError
from mlhealth.estimators.rows import rows_from_table
from mlhealth.objective import Objective
from mlhealth.records import (
    EstimateStatus,
    HealthScore,
    HealthStatus,
    PerformanceEstimate,
    WindowKey,
    WindowReport,
)
from mlhealth.reference_checks import reference_notes
from tests.drift_builder import world_of

SPREAD = Spread((250,), (0.0,), (1.0,), (0.018,), SURE_FREEDOM)
LIMITS = BudgetLimits(Objective("accuracy", 0.05), 7.0, reference_error=0.004, spread=SPREAD)


def calm(hour: int, rows: int = 500) -> WindowReport:
    """Return the report of a calm hourly window."""
    start = 20_000 * DAY + hour * HOUR
    key = WindowKey("m", "1", "", start, start + HOUR)
    estimate = PerformanceEstimate("accuracy", 0.88, 0.85, 0.91, EstimateStatus.OK, "mpp", 0.88)
    health = HealthScore(None, HealthStatus.UNKNOWN, "accuracy", 0.05)
    return WindowReport(key, 0, "b", rows, {"accuracy": estimate}, health, {})


def config(budget: str) -> ModelConfig:
    """Return a model's configuration with this budget."""
    return ModelConfig.model_validate({"false_alarms": budget})


def why(report: WindowReport) -> str:
    """Return the second reason of a report, which says why its status is what it is."""
    return report.health.reasons[1].text


def test_a_reference_too_short_to_calibrate_on_is_never_healthy() -> None:
    """Where no reference windows could be replayed a good estimate is `unknown`, and it says what to fit."""
    judged, _ = judge(calm(0), replace(LIMITS, spread=None), BudgetState())
    assert judged.health.status is HealthStatus.UNKNOWN
    assert "fit the baseline on 800 labelled rows or more" in why(judged)


@pytest.mark.parametrize(("rows", "status"), [(49, HealthStatus.UNKNOWN), (50, HealthStatus.HEALTHY)])
def test_windows_far_smaller_than_the_calibrated_ones_are_unknown(rows: int, status: HealthStatus) -> None:
    """A fifth of the smallest calibrated size is the least that a healthy window has."""
    judged, _ = judge(calm(0, rows), LIMITS, BudgetState())
    assert judged.health.status is status
    assert (status is HealthStatus.HEALTHY) or f"{rows} rows are far fewer" in why(judged)


@pytest.mark.parametrize(("silent", "status"), [(GAP, HealthStatus.HEALTHY), (GAP + 1, HealthStatus.UNKNOWN)])
def test_the_first_window_after_a_gap_is_unknown(silent: int, status: HealthStatus) -> None:
    """After more than a day without hourly windows the first one says for how long; the second is judged as ever."""
    _, state = judge(calm(0), LIMITS, BudgetState())
    after, state = judge(calm(1 + silent), LIMITS, state)
    again, _ = judge(calm(2 + silent), LIMITS, state)
    assert (after.health.status, again.health.status) == (status, HealthStatus.HEALTHY)
    assert (status is HealthStatus.HEALTHY) or "no window came for 25h" in why(after)


def test_an_impossible_budget_says_what_is_possible() -> None:
    """More pages than a third of the windows cannot be spent; fewer than one in a million finds hardly anything."""
    (text,) = remarks(config("20 per 1d"), 1)
    assert "it is read as 8 per 1d" in text
    (text,) = remarks(config("1 per 3650d"), 50)
    assert "small losses will not be found" in text
    assert MOST_WINDOWS < 3_650 * 24 * 50
    assert remarks(ModelConfig(), 1) == []


@pytest.mark.parametrize("text", ["often", "0 per 90d", "1 per soon"])
def test_a_budget_that_is_none_is_refused_in_one_line(text: str) -> None:
    """What a person mistypes is named."""
    with pytest.raises(ConfigError, match=r"^false alarms: .*") as told:
        parse_budget(text)
    assert "\n" not in str(told.value)


def test_a_feature_constant_in_the_reference_is_noted_and_any_other_value_is_a_fault() -> None:
    """A constant column has no scale: the fit says so, the same value is calm, another is out of range."""
    rng = np.random.default_rng(0)
    world = world_of({"always": np.ones(3_000), "free": rng.normal(size=3_000)})
    reference = rows_from_table(world.baseline.rows, world.baseline.schema)
    assert any("always" in note for note in reference_notes(reference))
    panel = Panel(world.baseline)
    same, other = (
        panel.quality(world.window({"always": np.full(400, value), "free": rng.normal(size=400)}))
        for value in (1.0, 2.0)
    )
    assert same["always"].faults == ()
    assert other["always"].out_of_range == 1.0
    assert "out of range" in other["always"].faults
