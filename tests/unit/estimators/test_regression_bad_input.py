"""Every method for regressors on references and windows that are not as they should be: honest, or refused in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from mlhealth.errors import DataError
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.metric_names import default_metrics, metric_of
from mlhealth.estimators.registry import estimators
from mlhealth.estimators.rows import Rows
from mlhealth.estimators.synthetic import synthetic_rows
from mlhealth.records import EstimateStatus, PerformanceEstimate
from mlhealth.schema.model_schema import Task

NAMES = [name for name, cls in estimators().items() if Task.REGRESSION in cls.tasks]
METRICS = default_metrics(synthetic_rows(1, task=Task.REGRESSION).rows.schema)
every = pytest.mark.parametrize("name", NAMES)
Treat = Callable[[Rows], Rows]


def made(count: int, seed: int) -> Rows:
    """Return labelled rows of the synthetic regressor."""
    return synthetic_rows(count, seed=seed, task=Task.REGRESSION).rows


def labels(rows: Rows) -> NDArray[np.float64]:
    """Return the true values of labelled rows."""
    assert rows.label is not None
    return rows.label.astype(np.float64)


@cache
def fitted(name: str) -> Estimator:
    """Return a method fitted to rows without fault."""
    return estimators()[name].fit(FitInputs(made(900, 0), METRICS))


def hold(found: dict[str, PerformanceEstimate], rows: Rows) -> None:
    """Check that nothing is NaN, that no interval leaves its metric's range, and that silence has a reason."""
    assert set(found) == set(METRICS)
    for metric, estimate in found.items():
        if estimate.status is EstimateStatus.NOT_IDENTIFIABLE:
            assert estimate.note
            continue
        known = metric_of(metric, rows.schema)
        assert estimate.value is not None
        assert estimate.lower is not None
        assert estimate.upper is not None
        assert all(math.isfinite(v) for v in (estimate.value, estimate.lower, estimate.upper))
        assert known.lower <= estimate.lower <= estimate.value <= estimate.upper <= known.upper


def of_one_target(rows: Rows) -> Rows:
    """Make every true value the same."""
    return replace(rows, label=np.full(len(rows), 10.0))


def with_an_outlier(rows: Rows) -> Rows:
    """Make one true value a billion."""
    return replace(rows, label=np.where(np.arange(len(rows)) == 3, 1e9, labels(rows)))


def with_infinities(rows: Rows) -> Rows:
    """Make some true values and some predictions infinite."""
    at = np.arange(len(rows))
    return replace(
        rows,
        label=np.where(at % 50 == 7, np.inf, labels(rows)),
        prediction=np.where(at % 50 == 9, -np.inf, rows.prediction),
    )


def of_one_prediction(rows: Rows) -> Rows:
    """Let the model answer the same to every row."""
    return replace(rows, prediction=np.full(len(rows), 10.0))


def without_values(rows: Rows) -> Rows:
    """Take every feature away."""
    nothing = pd.Series([None] * len(rows), dtype=object)
    return replace(rows, features=rows.features.assign(x=np.nan, z=np.nan, region=nothing))


def near_zero(rows: Rows) -> Rows:
    """Put most true values at 0 and the rest beside it."""
    label = labels(rows)
    return replace(rows, label=np.where(label > 12.0, 1e-9, 0.0))


def perfect(rows: Rows) -> Rows:
    """Let the model be right about every row."""
    return replace(rows, label=rows.prediction.astype(np.float64))


REFERENCES = [
    of_one_target,
    with_an_outlier,
    with_infinities,
    of_one_prediction,
    without_values,
    near_zero,
    perfect,
]


@every
@pytest.mark.parametrize("treat", REFERENCES, ids=lambda f: f.__name__)
def test_odd_references_are_borne_or_refused(name: str, treat: Treat) -> None:
    """A method fitted to an odd reference answers windows like it honestly, or refuses it in words."""
    try:
        method = estimators()[name].fit(FitInputs(treat(made(900, 0)), METRICS))
    except DataError as refused:
        assert "give" in str(refused)  # noqa: PT017 - a refusal that says what to change is as good as an answer
        return
    window = replace(treat(made(300, 1)), label=None)
    hold(method.estimate(window), window)


def of_one_row(rows: Rows) -> Rows:
    """Keep a single row."""
    return rows.take(np.zeros(1, dtype=np.intp))


def of_no_row(rows: Rows) -> Rows:
    """Keep no row."""
    return rows.take(np.zeros(0, dtype=np.intp))


def with_a_wild_prediction(rows: Rows) -> Rows:
    """Let one prediction be out of all bounds."""
    return replace(rows, prediction=np.where(np.arange(len(rows)) == 3, 1e12, rows.prediction))


def with_infinite_predictions(rows: Rows) -> Rows:
    """Let some predictions be infinite, some no number."""
    at = np.arange(len(rows))
    some = np.where(at % 20 == 3, np.inf, rows.prediction.astype(np.float64))
    return replace(rows, prediction=np.where(at % 20 == 5, np.nan, some))


def of_no_finite_prediction(rows: Rows) -> Rows:
    """Let no prediction be a number."""
    return replace(rows, prediction=np.full(len(rows), np.nan))


WINDOWS = [
    of_one_row,
    of_no_row,
    with_a_wild_prediction,
    with_infinite_predictions,
    of_no_finite_prediction,
    of_one_prediction,
    without_values,
]


@every
@pytest.mark.parametrize("treat", WINDOWS, ids=lambda f: f.__name__)
def test_odd_windows_get_honest_answers(name: str, treat: Treat) -> None:
    """An odd window gets a finite answer inside the metric's range, or the reason why there is none."""
    window = replace(treat(made(300, 1)), label=None)
    hold(fitted(name).estimate(window), window)


@every
def test_rows_without_a_finite_prediction_are_left_out_and_counted(name: str) -> None:
    """What is estimated of the rows that were answered is no `ok` answer, and says how many were not."""
    window = replace(with_infinite_predictions(made(300, 1)), label=None)
    usable = window.take(np.flatnonzero(np.isfinite(window.prediction)))
    found, plain = fitted(name).estimate(window)["mae"], fitted(name).estimate(usable)["mae"]
    assert found.value == plain.value
    assert found.status is not EstimateStatus.OK
    assert found.note is not None
    assert found.note.startswith("30 of 300 predictions")
