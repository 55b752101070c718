"""`evaluate`: one function path for file, stream and back-test."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pyarrow as pa
import pytest

from mlhealth.baseline.files import from_bytes, to_bytes
from mlhealth.errors import ConfigError
from mlhealth.estimate_json import report_to_dict
from mlhealth.events.normalise import Origin, normalise
from mlhealth.monitor import EvaluationSettings, Evaluator, evaluate
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import EstimateStatus, HealthStatus, WindowKey
from tests.loans import loan_baseline, loan_table

KEY = WindowKey("loans", "3", "", 0, 1)


def profile_of(table: pa.Table) -> WindowProfile:
    """Return the profile of a table in the lender's layout."""
    base = loan_baseline()
    batch = normalise(table, base.schema, Origin.file("prod", table.num_rows)).batch
    return WindowProfile.of(batch, base.layout)


def test_a_calm_window_is_healthy_and_near_the_truth() -> None:
    """A window like the reference is healthy, and its realised accuracy lies near the estimate."""
    report = evaluate(profile_of(loan_table(2_000, seed=7)), loan_baseline(), KEY)
    estimate = report.estimates["accuracy"]
    assert report.health.status is HealthStatus.HEALTHY
    assert estimate.value == pytest.approx(report.realized["accuracy"], abs=0.05)
    assert (estimate.lower or 0) < (estimate.value or 0) < (estimate.upper or 0)
    assert report.baseline == loan_baseline().hash


def test_order_and_partition_of_rows_do_not_change_a_report(rng: np.random.Generator) -> None:
    """Shuffled rows, profiled in parts and merged, give the same report, number for number."""
    table = loan_table(3_000, seed=8)
    parts = np.array_split(rng.permutation(3_000), 4)
    merged = reduce(WindowProfile.merge, (profile_of(table.take(pa.array(part))) for part in parts))
    evaluator = Evaluator(loan_baseline())
    assert evaluator.evaluate(merged, KEY) == evaluator.evaluate(profile_of(table), KEY)


def test_a_baseline_read_back_judges_the_same() -> None:
    """Evaluating with a stored baseline gives the numbers of the one in memory."""
    stored = from_bytes(to_bytes(loan_baseline()))
    profile = profile_of(loan_table(1_000, seed=9))
    assert evaluate(profile, stored, KEY) == evaluate(profile, loan_baseline(), KEY)


def test_labels_do_not_change_the_estimate() -> None:
    """The estimate is made without the labels, even where they are there."""
    table = loan_table(1_000, seed=9)
    with_labels = evaluate(profile_of(table), loan_baseline(), KEY)
    without = evaluate(profile_of(table.drop_columns(["y_true"])), loan_baseline(), KEY)
    assert with_labels.estimates == without.estimates
    assert without.realized == {}


def test_an_empty_window_is_unknown_and_says_why() -> None:
    """No rows: no estimate, no score, and volume as the first reason."""
    report = evaluate(WindowProfile.empty(loan_baseline().layout), loan_baseline(), KEY)
    assert report.health.status is HealthStatus.UNKNOWN
    assert report.health.score is None
    assert "no events" in report.health.reasons[0].text
    assert {e.status for e in report.estimates.values()} == {EstimateStatus.NOT_IDENTIFIABLE}


def test_a_segment_is_judged_from_the_given_sample() -> None:
    """A segment's profile keeps counts only; its estimates come from the filtered sample."""
    base = loan_baseline()
    batch = normalise(loan_table(2_000, seed=3), base.schema, Origin.file("p", 2_000)).batch
    south = batch.take(np.asarray(batch.table.column("region").to_pylist()) == "south")
    counts = WindowProfile.of(south, base.layout, sample=False)
    assert counts.sample is None
    report = Evaluator(base).evaluate(counts, KEY, sample=south.table)
    assert report.estimates["accuracy"].value is not None
    assert report.rows == south.rows


def test_any_method_of_the_task_can_be_asked() -> None:
    """A method the baseline does not hold is fitted to the rows it has kept; an unknown one is refused by name."""
    judged = Evaluator(loan_baseline(), EvaluationSettings(method="bbse"))
    found = judged.evaluate(profile_of(loan_table(2_000, seed=7)), KEY).estimates["accuracy"]
    assert found.method == "bbse"
    assert found.value == pytest.approx(loan_baseline().metrics["accuracy"].value, abs=0.05)
    with pytest.raises(ConfigError, match=r"method 'dle' does not exist for binary models: use one of .*mpp"):
        Evaluator(loan_baseline(), EvaluationSettings(method="dle"))


def test_a_vanished_feature_is_broken_input() -> None:
    """A feature that is missing everywhere degrades the health score and is named."""
    table = loan_table(2_000, seed=4)
    gone = table.set_column(0, "income", pa.nulls(2_000, pa.float64()))
    report = evaluate(profile_of(gone), loan_baseline(), KEY)
    assert report.health.status in {HealthStatus.DEGRADED, HealthStatus.CRITICAL}
    assert any("income" in reason.text for reason in report.health.reasons)


def test_the_json_holds_the_promised_keys() -> None:
    """The printed object has exactly the keys of the reference documentation, and extras only beside them."""
    report = evaluate(profile_of(loan_table(1_000, seed=2)), loan_baseline(), KEY)
    data = report_to_dict(report, window=0, start=0, end=999)
    assert list(data)[:8] == ["window", "rows", "start", "end", "estimates", "health", "drift", "quality"]
    assert set(data["estimates"]["accuracy"]) >= {"value", "lower", "upper", "status", "method", "reference"}
    assert set(data["health"]) >= {"score", "status", "reasons"}
    assert set(data["drift"]["income"]) >= {"statistic", "threshold", "drifted"}
