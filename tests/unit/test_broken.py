"""What is broken: the winning explanation and the values' own faults, told as one list."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from mlhealth.causes.broken import broken_columns
from mlhealth.estimators.rows import Rows
from mlhealth.records import ColumnFault, DetectorResult, FeatureQuality
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task

FEATURES = (
    Feature("age", FeatureType.NUMERIC, Storage.FLOAT),
    Feature("income", FeatureType.NUMERIC, Storage.FLOAT),
    Feature("town", FeatureType.CATEGORICAL, Storage.STRING),
)
SCHEMA = ModelSchema("m", "1", Task.BINARY, FEATURES, "y", Storage.INTEGER, ("s",), ("0", "1"))
LARGE = ColumnFault("income", "unit error", 1.0, "income arrives 100x too large")


def rows(count: int, seed: int) -> Rows:
    """Return sound rows."""
    rng = np.random.default_rng(seed)
    features = pd.DataFrame(
        {
            "age": rng.normal(40.0, 12.0, count),
            "income": rng.gamma(3.0, 900.0, count),
            "town": rng.choice(["Berlin", "Hamburg", "Cologne"], count),
        }
    )
    return Rows(SCHEMA, features, np.zeros(count, dtype=np.int64))


def drifted(feature: str, effect: float) -> DetectorResult:
    """Return a column's drift."""
    return DetectorResult("jensen_shannon", feature, 0.4, 0.1, drifted=True, effect=effect)


def test_what_the_explanation_blames_comes_first_in_its_own_words() -> None:
    """A precise explanation stands as it is, before columns whose values show a fault of their own."""
    window = rows(800, 1)
    window.features["income"] *= 100.0
    window.features["town"] = window.features["town"].str.upper()
    drift = {"town": drifted("town", 0.9), "income": drifted("income", 0.3), "age": drifted("age", 0.1)}
    found = broken_columns(rows(3_000, 0), window, (drift, {}), (LARGE,))
    assert [(fault.column, fault.kind) for fault in found] == [
        ("income", "unit error"),
        ("town", "changed case"),
    ]
    assert found[0] is LARGE


def test_values_speak_where_the_explanation_is_vague() -> None:
    """A column that has merely left its range for the estimator is told by what its values show."""
    window = rows(800, 1)
    window.features["income"] = np.where(np.arange(800) % 2, -999.0, window.features["income"])
    vague = ColumnFault("income", "changed values", 0.5, "income has left its range in 50 % of rows")
    (found,) = broken_columns(rows(3_000, 0), window, ({"income": drifted("income", 0.4)}, {}), (vague,))
    assert found.kind == "zero for missing"
    assert 0.4 < found.share < 0.6


def test_a_column_that_left_its_range_is_told_with_both_ranges() -> None:
    """Where nothing says how a column broke, a reader sees what its values were and are."""
    window = rows(800, 1)
    window.features["income"] = window.features["income"] ** 1.5
    vague = ColumnFault("income", "changed values", 1.0, "income has left its range")
    (found,) = broken_columns(rows(3_000, 0), window, ({"income": drifted("income", 0.4)}, {}), (vague,))
    assert re.fullmatch(r"income has left its range \(mostly \S+ to \S+, before \S+ to \S+\)", found.text)


def test_a_column_at_fault_in_most_rows_comes_before_the_explanation() -> None:
    """Where all values of a column are gone, that is the first thing to look at."""
    window = rows(800, 1)
    window.features["age"] = np.nan
    gone = FeatureQuality(1.0, 0.0, 0.0, 0.0, ("all missing",))
    found = broken_columns(
        rows(3_000, 0), window, ({"income": drifted("income", 0.4)}, {"age": gone}), (LARGE,)
    )
    assert [fault.column for fault in found] == ["age", "income"]


def test_a_sound_window_has_nothing_broken() -> None:
    """Columns that did not move are not looked at, and nothing is said of them."""
    assert broken_columns(rows(3_000, 0), rows(800, 1), ({}, {}), ()) == ()
