"""Kinds of column faults: each is named where it accounts for what moved, and drift is called none of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlhealth.corrupt import corrupt
from mlhealth.detectors.column_faults import column_fault

ROWS = 4_000


def frame(rows: int, seed: int) -> pd.DataFrame:
    """Return a numeric and a categorical column."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "income": rng.gamma(3.0, 900.0, rows),
            "town": rng.choice(["Berlin", "Hamburg", "Cologne", "Dresden"], rows, p=[0.5, 0.25, 0.15, 0.1]),
        }
    )


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("missing", "income"),
        ("missing", "town"),
        ("changed case", "town"),
        ("typos", "town"),
        ("unseen category", "town"),
        ("recoded categories", "town"),
        ("stuck constant", "town"),
        ("stuck constant", "income"),
        ("zero for missing", "income"),
        ("rounding", "income"),
        ("outliers", "income"),
    ],
)
def test_each_kind_is_named(kind: str, column: str) -> None:
    """A column broken in every row is called what was done to it."""
    window = frame(1_000, 2)
    rng = np.random.default_rng(5)
    broken = corrupt(window, kind, rng=rng, columns=(column,), fraction=1.0).features[column]
    found = column_fault(column, frame(ROWS, 1)[column], broken, numeric=column == "income")
    assert found is not None
    assert (found.kind, found.column) == (kind, column)
    assert found.share > 0.5
    assert found.text.startswith(f"{column} ")


@pytest.mark.parametrize(
    ("factor", "kind", "text"),
    [
        (100.0, "unit error", "income arrives 100x too large"),
        (0.001, "unit error", "income arrives 1000x too small"),
        (-1.0, "sign flip", "income has the wrong sign"),
    ],
)
def test_a_wrong_unit_or_sign_of_all_values_is_named(factor: float, kind: str, text: str) -> None:
    """One factor that makes the window's distribution the reference's says what happened to every value."""
    found = column_fault("income", frame(ROWS, 1)["income"], factor * frame(1_000, 2)["income"], numeric=True)
    assert found is not None
    assert (found.kind, found.share) == (kind, 1.0)
    assert found.text == text


@pytest.mark.parametrize("power", [0.5, 1.5])
def test_another_shape_is_no_wrong_unit(power: float) -> None:
    """Values far larger or smaller in another shape are not explained by a factor."""
    window = frame(1_000, 2)["income"] ** power
    found = column_fault("income", frame(ROWS, 1)["income"], window, numeric=True)
    assert found is None or found.kind != "unit error"


def test_slightly_larger_values_may_be_drift() -> None:
    """Incomes that have grown by half are no fault."""
    assert (
        column_fault("income", frame(ROWS, 1)["income"], 1.5 * frame(1_000, 2)["income"], numeric=True)
        is None
    )


@pytest.mark.parametrize("column", ["income", "town"])
def test_a_sound_column_has_no_fault(column: str) -> None:
    """Of windows like the reference, none is called broken."""
    reference = frame(ROWS, 1)[column]
    windows = [frame(700, seed)[column] for seed in range(10, 25)]
    assert not any(column_fault(column, reference, w, numeric=column == "income") for w in windows)


def test_a_drift_is_no_fault() -> None:
    """A shift of incomes, and another mix of towns, are not called broken."""
    reference, window = frame(ROWS, 1), frame(1_000, 3)
    assert column_fault("income", reference["income"], window["income"] * 1.3, numeric=True) is None
    weight = np.where(window["town"] == "Dresden", 4.0, 1.0)
    other = window["town"].sample(1_000, replace=True, weights=weight, random_state=0)
    assert column_fault("town", reference["town"], other, numeric=False) is None


def test_a_precise_explanation_stands() -> None:
    """Where something else says how a column broke, only what cannot be mistaken is told."""
    reference, window = frame(ROWS, 1)["income"], pd.Series(np.full(500, 1_234.5))
    assert column_fault("income", reference, window, numeric=True) is not None
    assert column_fault("income", reference, window, numeric=True, explained=True) is None
    gone = pd.Series(np.full(500, np.nan))
    assert column_fault("income", reference, gone, numeric=True, explained=True) is not None
