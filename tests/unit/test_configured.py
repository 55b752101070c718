"""From `mlhealth.yaml` to a verdict: pinned thresholds, guarded metrics, segments compared with themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlhealth.baseline.record import Baseline
from mlhealth.config.models import ModelConfig
from mlhealth.config.service import load
from mlhealth.configured import limits_of, settings_of
from mlhealth.errors import ConfigError
from mlhealth.events.batch import EventBatch
from mlhealth.events.normalise import Origin, normalise
from mlhealth.files.production import Cut, Judging, Production, reports
from mlhealth.monitor import Evaluator
from mlhealth.records import HealthStatus
from mlhealth.scorers.within_budget import ScorerBudget
from tests.servers.stream import loan_baseline, loan_rows


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    """A small model's baseline."""
    return loan_baseline()


def batch(baseline: Baseline, rows: int = 900, seed: int = 5) -> EventBatch:
    """Return rows like the reference's."""
    table = loan_rows(rows, seed)
    return normalise(table, baseline.schema, Origin.file("rows", table.num_rows)).batch


def configured(text: str, folder: Path) -> ModelConfig:
    """Return the block of the model from a configuration file."""
    path = folder / "mlhealth.yaml"
    path.write_text(f"models:\n  loans:\n    {text}\n")
    return load(path).model("loans")


def made_ready(baseline: Baseline, config: ModelConfig) -> None:
    """Make everything that judges the model's windows."""
    Evaluator(baseline, settings_of(config, baseline))
    limits_of(baseline, config, 1)


@pytest.mark.parametrize(
    ("pin", "drifted"),
    [
        ("constant: 0.0001", True),
        ("constant: 0.9", False),
        ("sigmas: 0", True),
        ("sigmas: 30", False),
        ("quantile: 0.06", True),
        ("quantile: 0.99999", False),
    ],
)
def test_a_pinned_threshold_decides(baseline: Baseline, tmp_path: Path, pin: str, drifted: bool) -> None:
    """A threshold written in the configuration, of each kind, decides whether the column has drifted."""
    text = f"thresholds: [{{detector: jensen_shannon, column: amount, {pin}}}]"
    config = configured(text, tmp_path)
    evaluator = Evaluator(baseline, settings_of(config, baseline))
    cut = Cut(rows=900)
    production = Production(batch(baseline), timed=False, warnings=())
    (item,) = reports(production, evaluator, cut, Judging.configured(baseline, config, cut))
    assert item.report.drift["amount"].drifted is drifted
    told = any(reason.feature == "amount" for reason in item.report.health.reasons)
    assert told is drifted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("thresholds: [{detector: guess, constant: 1}]", "there is no detector 'guess'"),
        (
            "thresholds: [{detector: wasserstein, column: nope, constant: 1}]",
            "the model has no column 'nope'",
        ),
        ("guard: [mae]", "mae"),
    ],
)
def test_mistakes_are_told(baseline: Baseline, tmp_path: Path, text: str, message: str) -> None:
    """A detector, column or metric that is not there is one line that names it."""
    config = configured(text, tmp_path)
    with pytest.raises(ConfigError, match=message):
        made_ready(baseline, config)


def test_exactly_one_kind_of_threshold_is_given(tmp_path: Path) -> None:
    """Two numbers for one threshold are refused, naming the key."""
    with pytest.raises(ConfigError, match="exactly one of constant, sigmas and quantile"):
        configured("thresholds: [{detector: wasserstein, constant: 1, sigmas: 2}]", tmp_path)


def test_the_budget_is_split_over_segments_and_metrics(baseline: Baseline, tmp_path: Path) -> None:
    """Two metrics and four shares leave each an eighth of the budget; further metrics gather their own evidence."""
    alone = limits_of(baseline, configured("segments: []", tmp_path), 1)
    both = limits_of(baseline, configured("guard: [f1]", tmp_path), 4)
    assert both.windows_per_incident == pytest.approx(8 * alone.windows_per_incident)
    assert [one.objective.metric for one in both.others] == ["f1"]


def test_a_segment_is_compared_with_itself(baseline: Baseline, tmp_path: Path) -> None:
    """Calm segments are neither drifted in their own column nor lossy, however hard they are; tiny ones are unknown."""
    config = configured("segments: [region]", tmp_path)
    evaluator, cut = Evaluator(baseline, settings_of(config, baseline)), Cut(rows=900)
    production = Production(batch(baseline), timed=False, warnings=())
    found = {r.report.key.segment: r.report for r in reports(
        production, evaluator, cut, Judging.configured(baseline, config, cut)
    )}  # fmt: skip
    large = found["region=eu"]
    assert not large.drift["region"].drifted
    mask = np.asarray(baseline.rows.column("region").to_numpy()) == "eu"
    right = np.asarray(baseline.rows.column("__prediction")) == np.asarray(baseline.rows.column("__label"))
    assert large.estimates["accuracy"].reference == pytest.approx(right[mask].mean())
    assert not large.faults
    assert found["region=asia"].health.status is HealthStatus.UNKNOWN
    assert "fewer than 200 rows" in found["region=asia"].health.reasons[0].text


def test_level_and_scorer_budget_reach_the_judge(baseline: Baseline, tmp_path: Path) -> None:
    """What the configuration says of intervals and of asking the scorer is what windows are judged by."""
    block = configured("level: 0.8\n    scorer_budget: {rows: 7000, seconds: 2.5}", tmp_path)
    settings = settings_of(block, baseline)
    assert settings.level == 0.8
    assert settings.scorer_budget == ScorerBudget(7000, 2.5)
