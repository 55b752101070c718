"""The health score: its probability, its status by rule, its cause and its sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlhealth.errors import ConfigError
from mlhealth.health import HealthInputs, probability_of_drop, score
from mlhealth.objective import Objective
from mlhealth.records import (
    Cause,
    ColumnFault,
    DetectorResult,
    EstimateStatus,
    FeatureQuality,
    HealthStatus,
    PerformanceEstimate,
)
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task

OBJECTIVE = Objective("accuracy", 0.05)
LARGE = ColumnFault("income", "unit error", 1.0, "income arrives 100x too large")
SOUND = FeatureQuality(0.0, 0.0, 0.0, 0.0)
GONE = FeatureQuality(1.0, 0.0, 0.0, 0.0, ("all missing",))


def estimate(value: float, half: float = 0.02, **changes: object) -> PerformanceEstimate:
    """Return an accuracy estimate with a symmetric interval; the reference is 0.88."""
    made = PerformanceEstimate("accuracy", value, value - half, value + half, EstimateStatus.OK, "mpp", 0.88)
    return replace(made, **changes)  # type: ignore[arg-type]


def inputs(found: PerformanceEstimate | None, **parts: object) -> HealthInputs:
    """Return the inputs of a window with this estimate alone, or with more parts."""
    estimates = {} if found is None else {"accuracy": found}
    return HealthInputs(OBJECTIVE, estimates, **parts)  # type: ignore[arg-type]


def drifted(feature: str, effect: float) -> DetectorResult:
    """Return a feature's drift."""
    return DetectorResult("jensen_shannon", feature, 0.4, 0.1, drifted=True, effect=effect)


@pytest.mark.parametrize(
    ("value", "half", "expected"),
    [(0.83, 0.02, 0.5), (0.88, 0.02, 0.0), (0.70, 0.02, 1.0), (0.83 - 0.02, 0.02, 0.95), (0.70, 0.0, 1.0)],
)
def test_probability_is_read_off_the_interval(value: float, half: float, expected: float) -> None:
    """The probability of a drop beyond the tolerance is that of a normal curve with the interval's own width."""
    assert probability_of_drop(estimate(value, half), OBJECTIVE) == pytest.approx(expected, abs=2e-3)


def test_the_half_that_reaches_the_tolerance_counts() -> None:
    """A lopsided interval is as sure as its half on the side of the tolerance's edge."""
    long_down = estimate(0.86, lower=0.74, upper=0.87)
    long_up = estimate(0.86, lower=0.85, upper=0.98)
    assert probability_of_drop(long_down, OBJECTIVE) > 0.3  # type: ignore[operator]
    assert probability_of_drop(long_up, OBJECTIVE) < 0.01  # type: ignore[operator]


def test_errors_have_a_relative_tolerance() -> None:
    """A regression error counts as risen beyond the tolerance when it is 20 % above its reference."""
    objective = Objective("mae", 0.2, relative=True, higher_is_better=False)
    found = PerformanceEstimate("mae", 12.0, 11.0, 13.0, EstimateStatus.OK, "dle", 10.0)
    assert probability_of_drop(found, objective) == pytest.approx(0.5)
    assert probability_of_drop(replace(found, value=15.0, lower=14.0, upper=16.0), objective) > 0.99  # type: ignore[operator]


def test_default_tolerances_follow_the_metric() -> None:
    """Scores have 5 points, errors 20 %; a metric the task lacks is the user's mistake."""
    feature = Feature("x", FeatureType.NUMERIC, Storage.FLOAT)
    regression = ModelSchema("m", "1", Task.REGRESSION, (feature,), "y", Storage.FLOAT)
    binary = ModelSchema("m", "1", Task.BINARY, (feature,), "y", Storage.INTEGER, ("s",), ("0", "1"))
    assert Objective.of("roc_auc", binary) == Objective("roc_auc", 0.05)
    assert Objective.of("mae", regression) == Objective("mae", 0.2, relative=True, higher_is_better=False)
    assert Objective.of("accuracy", binary, 0.02).tolerance == 0.02
    with pytest.raises(ConfigError, match="accuracy"):
        Objective.of("accuracy", regression)


@pytest.mark.parametrize(
    ("found", "quality", "status"),
    [
        (estimate(0.88), SOUND, HealthStatus.HEALTHY),
        (estimate(0.83), SOUND, HealthStatus.DEGRADED),
        (estimate(0.70), SOUND, HealthStatus.CRITICAL),
        (None, SOUND, HealthStatus.UNKNOWN),
        (estimate(0.88), GONE, HealthStatus.DEGRADED),
        (None, GONE, HealthStatus.DEGRADED),
        (estimate(0.825), GONE, HealthStatus.CRITICAL),
        (estimate(0.88, status=EstimateStatus.OUT_OF_SUPPORT), SOUND, HealthStatus.UNKNOWN),
        (estimate(0.60, status=EstimateStatus.OUT_OF_SUPPORT), SOUND, HealthStatus.CRITICAL),
    ],
    ids=[
        "calm",
        "between",
        "fallen",
        "nothing",
        "gone",
        "gone-blind",
        "gone-harm",
        "outside",
        "outside-fallen",
    ],
)
def test_status(found: PerformanceEstimate | None, quality: FeatureQuality, status: HealthStatus) -> None:
    """Status follows the score; a vanished feature is never healthy, and neither is a window out of support."""
    assert score(inputs(found, quality={"income": quality})).status is status


def test_no_estimate_means_no_score_and_says_why() -> None:
    """Where nothing can be said the score is None, and the first reason tells why."""
    silent = PerformanceEstimate(
        "accuracy", None, None, None, EstimateStatus.NOT_IDENTIFIABLE, "mpp", 0.88, note="only 3 rows"
    )
    health = score(inputs(silent))
    assert health.score is None
    assert health.cause is Cause.CANNOT_TELL
    assert "only 3 rows" in health.reasons[0].text


def test_reasons_begin_with_what_is_broken_and_what_it_costs() -> None:
    """The first sentence names the break and the loss; the next the faults; the last whom to call."""
    faults = (LARGE, ColumnFault("age", "missing", 0.3, "age is missing in 30 % of rows"))
    found = estimate(
        0.714,
        0.04,
        explanation=f"{LARGE.text}; the mix of rows has shifted, most in income",
        faults=(LARGE,),
    )
    health = score(inputs(found, faults=faults, since={"income": "14:00"}, quality={"zip": GONE}))
    texts = [reason.text for reason in health.reasons]
    assert texts[0] == (
        "income arrives 100x too large since 14:00; the mix of rows has shifted, most in income; "
        "accuracy now about 0.71 ± 0.04, was 0.88"
    )
    assert texts[1].startswith("broken input, a case for the team that delivers the data: first look at")
    assert texts[2:4] == ["age is missing in 30 % of rows", "zip is missing in every row"]
    assert health.cause is Cause.BROKEN_INPUT


def test_drift_without_faults_is_harder_traffic() -> None:
    """A drop with drifted but sound columns is harder traffic; the most drifted column is named first."""
    drift = {name: drifted(name, size) for name, size in (("age", 0.1), ("income", 0.5))}
    health = score(inputs(estimate(0.7), drift=drift, quality={"age": SOUND}))
    assert health.cause is Cause.HARDER_TRAFFIC
    assert [r.feature for r in health.reasons if r.feature] == ["income", "age"]


def test_labels_that_contradict_the_estimate_blame_the_model() -> None:
    """Where labels came, show a loss and the inputs do not explain it, the model is wrong."""
    health = score(inputs(estimate(0.88), realized={"accuracy": 0.7}))
    assert health.cause is Cause.MODEL_WRONG
    assert health.parts["realized"] == 0.7


def test_parts_are_only_what_is_known() -> None:
    """The parts of a score hold no None, and the probability gives the score back."""
    health = score(inputs(estimate(0.83)))
    assert health.score == pytest.approx(100.0 * (1.0 - health.parts["probability_of_drop"]))
    assert all(isinstance(value, float) for value in health.parts.values())


@pytest.mark.parametrize(
    ("detector", "status", "cause"),
    [
        ("duplicate_keys", HealthStatus.DEGRADED, Cause.BROKEN_INPUT),
        ("volume", HealthStatus.DEGRADED, Cause.CANNOT_TELL),
        ("repeated_rows", HealthStatus.HEALTHY, None),
    ],
)
def test_how_rows_came_weighs_by_what_it_means(
    detector: str, status: HealthStatus, cause: Cause | None
) -> None:
    """Events that came twice are broken input, odd volume deserves a look, equal rows alone change nothing."""
    finding = DetectorResult(detector, None, 0.5, 0.1, drifted=True, note="told")
    found = score(inputs(estimate(0.88), whole=(finding,)))
    assert (found.status, found.cause) == (status, cause)
