"""The protocol of the estimation benchmark: which rows are which."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.estimation.scoring import intervals
from benchmarks.estimation.tables import load, split

ROWS = 2_000


def test_an_ordered_table_is_split_in_its_order() -> None:
    """Training rows come before the reference's and the pool's, and those before production."""
    parts = split(ROWS, np.random.default_rng(0))
    middle = np.concatenate([parts.reference, parts.pool])
    assert parts.train.max() < middle.min()
    assert middle.max() < parts.production.min()
    assert (np.diff(parts.production) == 1).all()


def test_a_table_without_order_is_shuffled_first() -> None:
    """Each part of a table whose order means nothing spans the whole file, and no row is in two parts."""
    parts = split(ROWS, np.random.default_rng(0), ordered=False)
    every = [parts.train, parts.reference, parts.pool, parts.production]
    assert all(part.min() < ROWS / 10 and part.max() > ROWS * 9 / 10 for part in every)
    assert len(np.unique(np.concatenate(every))) == ROWS


@pytest.mark.parametrize(("told", "ordered"), [("iid", False), ("ordered", True)])
def test_the_folder_says_whether_order_means_anything(tmp_path: Path, told: str, ordered: bool) -> None:
    """`datasets.json` tells tables in order from those that were merely stored in one."""
    pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]}).to_parquet(tmp_path / "t.parquet")
    described = {"t": {"target": "y", "task": "regression", "split": told}}
    (tmp_path / "datasets.json").write_text(json.dumps(described))
    assert load(tmp_path, "t").ordered is ordered


@pytest.mark.parametrize(("metric", "width"), [("mae", np.log(4.0)), ("accuracy", 3.0)])
def test_the_width_of_a_regressors_interval_has_no_unit(metric: str, width: float) -> None:
    """It is told by the ratio of the interval's ends; that of a share by their difference."""
    rows = pd.DataFrame({"lower": [1.0, 10.0], "upper": [4.0, 13.0 if metric == "accuracy" else 40.0]})
    found = intervals(rows.assign(metric=metric, status="ok", truth=2.0, family="control"))
    assert found["width"] == pytest.approx(width)
    assert found["cover"] == 0.5
