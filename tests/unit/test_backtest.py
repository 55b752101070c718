"""Back-tests: past windows through the rules, beside the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlhealth.alerts.rules import parse_rules
from mlhealth.backtest import Outcome, outcomes, truth
from mlhealth.files.production import Cut, read_production, reports
from mlhealth.monitor import Evaluator
from mlhealth.objective import Objective
from tests.loans import loan_baseline, loan_table

ACCURACY = Objective("accuracy", 0.05)
RULES = """\
rules:
  - alert: IncomeGone
    when: quality.income.missing > 0.5
    severity: critical
    annotations: {summary: "{{ model }}: income is missing"}
    retrain: gpu
"""


def backtest(path: Path, table: pa.Table) -> list[Outcome]:
    """Return the outcome of each window of 1,000 rows."""
    pq.write_table(table, path)
    evaluator = Evaluator(loan_baseline())
    found = reports(read_production(path, loan_baseline()), evaluator, Cut(rows=1_000))
    return list(outcomes(found, parse_rules(RULES)))


@pytest.fixture
def broken_middle(tmp_path: Path) -> list[Outcome]:
    """Five windows, income missing in the third."""
    table = loan_table(5_000, seed=11)
    income = table.column("income").to_numpy().copy()
    income[2_000:3_000] = np.nan
    return backtest(tmp_path / "p.parquet", table.set_column(0, "income", pa.array(income)))


def test_an_alarm_fires_and_resolves_with_its_cause(broken_middle: list[Outcome]) -> None:
    """The rule fires in the broken window with its summary, and is resolved in the next one."""
    assert [[a.rule for a in o.fired] for o in broken_middle] == [[], [], ["IncomeGone"], [], []]
    assert [[a.rule for a in o.resolved] for o in broken_middle] == [[], [], [], ["IncomeGone"], []]
    assert broken_middle[2].fired[0].annotations["summary"] == "loans: income is missing"


def test_the_estimate_is_compared_with_the_labels(broken_middle: list[Outcome]) -> None:
    """With labels in the file, error and coverage are told over all windows."""
    found = truth(broken_middle, ACCURACY)
    assert found is not None
    assert found.windows == 5
    assert found.error < 0.05
    assert 0.0 <= found.coverage <= 1.0


def test_without_labels_there_is_no_truth(tmp_path: Path) -> None:
    """A file without labels is back-tested all the same, and claims nothing about the truth."""
    done = backtest(tmp_path / "p.parquet", loan_table(2_000, seed=12).drop_columns(["y_true"]))
    assert len(done) == 2
    assert truth(done, ACCURACY) is None


def test_a_loss_that_only_labels_show_is_counted_as_missed(tmp_path: Path) -> None:
    """Where labels of one window are turned round, it has fallen, and whether it was critical is told beside."""
    table = loan_table(3_000, seed=13)
    place = table.column_names.index("y_true")
    turned = table.column("y_true").to_numpy().copy()
    turned[1_000:2_000] = 1 - turned[1_000:2_000]
    done = backtest(tmp_path / "p.parquet", table.set_column(place, "y_true", pa.array(turned)))
    found = truth(done, ACCURACY)
    assert found is not None
    assert found.fallen == 1
    critical = [o.item.report.health.status.value == "critical" for o in done]
    assert (found.fallen_critical, found.sound_critical) == (
        int(critical[1]),
        sum(critical) - int(critical[1]),
    )
