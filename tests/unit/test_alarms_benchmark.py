"""The benchmark of alarms: what it counts, what it keeps, and what it breaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.alarms.figures import BLOCK, attribution, incidents
from benchmarks.alarms.further_faults import FURTHER
from benchmarks.alarms.judging_records import Judged
from benchmarks.alarms.recording import Recording
from mlhealth.budget.limits import BudgetLimits, Spread
from mlhealth.objective import Objective

SPREAD = Spread((250,), (0.0,), (1.0,), (0.018,), 5.0, ((0.1, -0.2),))
LIMITS = BudgetLimits(Objective("accuracy", 0.05), 2.5, 0.004, SPREAD, windows=2_160.0, found="bootstrap")
JUDGED = Judged(
    key="single/noise/0",
    table="t",
    family="single",
    kind="noise",
    columns=("income",),
    group=0.0,
    rows=1_000,
    drop=0.03,
    error=0.01,
    lasting=0.03,
    loss=0.02,
    deviation=0.01,
    score=90.0,
    suspects=("age", "income"),
    kinds=("noise",),
    names=("noise",),
)


def test_a_page_after_a_true_loss_is_not_false() -> None:
    """The same evidence is a false page where labels show nothing, and a true one where they show the loss."""
    evidence = np.tile([3.0, 3.0, *[-3.0] * (BLOCK - 2)], 20)
    rng = np.random.default_rng(0)
    nothing = incidents(evidence, np.zeros(len(evidence)), 5.0, rng, 2_400)
    lost = incidents(evidence, np.full(len(evidence), 0.06), 5.0, rng, 2_400)
    assert nothing.false > 100
    assert nothing.true == lost.false == 0
    assert lost.true > 100


def test_attribution_counts_ranks_kinds_and_kinds_not_chosen_on() -> None:
    """First and among the first three are told apart, and further kinds are counted by themselves too."""
    first = replace(JUDGED, suspects=("income",), family="further", kinds=("offset",), lasting=0.0)
    found = attribution([JUDGED, first, replace(JUDGED, family="corrupt")])
    assert (found["attribution_top1"], found["attribution_top3"]) == (0.5, 1.0)
    assert (found["attribution_kind"], found["attribution_windows"]) == (0.5, 2.0)
    assert (found["attribution_top1_further"], found["attribution_kind_costly"]) == (1.0, 1.0)


def test_a_run_that_was_killed_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Judged windows and peers' answers come back; half a line is forgotten; a window that cannot be made stays so."""
    recording = Recording(tmp_path, "t")
    recording.keep(JUDGED.key, JUDGED)
    recording.keep("single/typos/0", None)
    recording.keep_peers({JUDGED.key: {"NannyML CBPE": True}})
    with (tmp_path / "t.jsonl").open("a") as file:
        file.write('{"key": "single/noise/1", "jud')
    again = Recording(tmp_path, "t")
    assert again.known == {JUDGED.key: JUDGED, "single/typos/0": None}
    assert again.judged()[0].peers == {"NannyML CBPE": True}
    assert not again.needs(JUDGED.key, "NannyML")
    assert again.needs(JUDGED.key, "Evidently")
    assert not again.needs("single/typos/0", "Evidently")
    again.keep("single/noise/1", JUDGED)
    again.losses["4"] = 0.07
    again.keep_fitted({("bootstrap", "1 hour"): LIMITS})
    third = Recording(tmp_path, "t")
    assert third.known["single/noise/1"] == JUDGED
    assert (third.losses, third.limits) == ({"4": 0.07}, {("bootstrap", "1 hour"): LIMITS})


@pytest.mark.parametrize("kind", FURTHER)
def test_further_faults_break_the_rows_they_are_given_and_no_others(kind: str) -> None:
    """Values of untouched rows stay; of the touched ones at least a tenth become others."""
    rng = np.random.default_rng(1)
    numbers = pd.Series(rng.gamma(2.0, 50.0, 400))
    texts = pd.Series(rng.choice(["Berlin", "Hamburg", "Dresden"], 400), dtype=object)
    values, rows = (numbers if FURTHER[kind].numeric else texts), np.arange(400) % 2 == 0
    broken = FURTHER[kind].treat(values, rows)
    assert (broken[~rows] == values[~rows]).all()
    assert (broken[rows] != values[rows]).mean() > 0.1
