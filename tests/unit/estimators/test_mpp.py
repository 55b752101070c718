"""`mpp` on a table whose truth is known: what it says of broken, shifted and quiet windows."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from mlhealth.corrupt import corrupt
from mlhealth.errors import DataError
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.cbpe import CBPE
from mlhealth.estimators.mpp import Mpp
from mlhealth.estimators.rows import Rows
from mlhealth.records import EstimateStatus
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task

METRICS = ("accuracy", "roc_auc", "f1", "log_loss")
CLASS_SCHEMA = ModelSchema(
    "loan", "1", Task.BINARY,
    (
        Feature("income", FeatureType.NUMERIC, Storage.FLOAT),
        Feature("age", FeatureType.NUMERIC, Storage.FLOAT),
        Feature("debt", FeatureType.NUMERIC, Storage.FLOAT),
        Feature("region", FeatureType.CATEGORICAL, Storage.STRING),
    ),
    "y_pred", Storage.INTEGER, ("score",), ("0", "1"), "y",
)  # fmt: skip
VALUE_SCHEMA = replace(CLASS_SCHEMA, task=Task.REGRESSION, scores=(), classes=())


def table(size: int, seed: int) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Return features, and the log-odds of the label."""
    rng = np.random.default_rng(seed)
    income = rng.lognormal(3.0, 0.5, size)
    age = np.clip(rng.normal(25 + 0.8 * income, 8.0), 18, 90)
    debt = rng.normal(0.3 * income, 4.0)
    region = rng.choice(np.array(["north", "south", "east"], dtype=object), size, p=[0.5, 0.3, 0.2])
    logit = 0.12 * (income - 22) - 0.15 * debt + 0.03 * (age - 40) + 1.2 * (region == "north") - 0.4
    return pd.DataFrame({"income": income, "age": age, "debt": debt, "region": region}), 1.4 * logit


def scorer(features: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Answer as a deployed linear model would."""
    columns = [features[c].fillna(0.0).to_numpy(float) for c in ("income", "age", "debt")]
    logit = 0.17 * (columns[0] - 22) - 0.2 * columns[2] + 0.04 * (columns[1] - 40)
    logit = logit + np.where(features["region"] == "north", 1.5, 0.0) - 0.5
    positive = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
    return (positive > 0.5).astype(np.int64), np.column_stack([1 - positive, positive])


def value_scorer(features: pd.DataFrame) -> tuple[NDArray[np.float64], None]:
    """Answer as a deployed regressor would."""
    income, debt = (
        features["income"].fillna(20.0).to_numpy(float),
        features["debt"].fillna(5.0).to_numpy(float),
    )
    return 3.0 * income - 2.0 * debt, None


def labelled(size: int, seed: int) -> Rows:
    """Return classified rows with their labels."""
    features, logit = table(size, seed)
    label = (np.random.default_rng(seed + 1000).random(size) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    prediction, scores = scorer(features)
    return Rows(CLASS_SCHEMA, features, prediction, scores, label)


def broken(rows: Rows, kind: str, columns: tuple[str, ...], fraction: float) -> Rows:
    """Return the rows as the model saw them after a fault upstream."""
    features = corrupt(
        rows.features, kind, rng=np.random.default_rng(2), columns=columns, fraction=fraction
    ).features
    return answered(rows, features)


def answered(rows: Rows, features: pd.DataFrame) -> Rows:
    """Return the rows with other features and what the model answers to them."""
    prediction, scores = scorer(features)
    return replace(rows, features=features, prediction=prediction, scores=scores)


def accuracy(rows: Rows) -> float:
    """Return the true accuracy."""
    return float((rows.prediction == rows.label).mean())


@cache
def fitted(mode: str) -> Mpp:
    """Return `mpp` fitted on the same reference in one of its modes."""
    return Mpp.fit(FitInputs(labelled(1600, 0), METRICS, scorer=scorer if mode == "scorer" else None))


def hidden(rows: Rows) -> Rows:
    """Return the rows without their labels."""
    return replace(rows, label=None)


def test_quiet_window_is_left_alone() -> None:
    """Where nothing happened the estimate is near the truth, ok, narrow, and has nothing to say."""
    window = labelled(1000, 7)
    found = fitted("none").estimate(hidden(window))["accuracy"]
    assert found.value == pytest.approx(accuracy(window), abs=0.03)
    assert found.status is EstimateStatus.OK
    assert found.lower is not None
    assert found.upper is not None
    assert found.upper - found.lower < 0.12
    assert found.explanation is None


@pytest.mark.parametrize("mode", ["scorer", "none"])
def test_unit_error_is_seen_and_named(mode: str) -> None:
    """A 100x unit error is put into words, and the estimate follows the truth where confidence does not."""
    rows = labelled(900, 8)
    features = rows.features.assign(debt=rows.features["debt"] * 100)
    window = answered(rows, features)
    method = fitted(mode)
    found = method.estimate(hidden(window), scorer=scorer if mode == "scorer" else None)["accuracy"]
    confident = CBPE.fit(FitInputs(labelled(1600, 0), METRICS)).estimate(hidden(window))["accuracy"]
    assert found.value == pytest.approx(accuracy(window), abs=0.05)
    assert abs((confident.value or 0.0) - accuracy(window)) > 0.05
    assert "debt arrives 100x too large" in (found.explanation or "")
    told = method.explain(hidden(window))
    assert (told[0].kind, told[0].columns) == ("unit error", ("debt",))


@pytest.mark.parametrize(
    ("kind", "columns", "text"),
    [
        ("swapped columns", ("age", "income"), "age and income are swapped"),
        ("missing", ("region",), "50 % of region is missing"),
        ("typos", ("region",), "spelt in ways never seen"),
        ("stuck constant", ("region",), "region"),
    ],
)
def test_faults_are_named_and_followed(kind: str, columns: tuple[str, ...], text: str) -> None:
    """Common faults are named with their columns, and the estimate is within 0.05 of the truth."""
    fraction = 0.5 if kind == "missing" else 1.0
    window = broken(labelled(1200, 9), kind, columns, fraction)
    found = fitted("scorer").estimate(hidden(window), scorer=scorer)["accuracy"]
    assert found.value == pytest.approx(accuracy(window), abs=0.05)
    if kind != "stuck constant":
        assert text in (found.explanation or "").replace("49 %", "50 %").replace("51 %", "50 %").replace(
            "48 %", "50 %"
        )


def test_harmless_covariate_shift_stays_near_truth() -> None:
    """A harmless shift of the mix of rows is no fault: no column is called broken, the estimate is near the truth."""
    rows = labelled(4000, 10)
    weight = np.exp(0.05 * rows.features["age"].to_numpy())
    index = np.random.default_rng(0).choice(len(rows), 900, p=weight / weight.sum(), replace=False)
    window = rows.take(index)
    method = fitted("none")
    found = method.estimate(hidden(window))["accuracy"]
    assert found.value == pytest.approx(accuracy(window), abs=0.04)
    assert {e.kind for e in method.explain(hidden(window))} <= {"covariate shift", "label shift"}


def test_label_shift_is_followed() -> None:
    """Where the classes' shares have moved and nothing else, the estimate follows."""
    rows = labelled(6000, 11)
    assert rows.label is not None
    positive, negative = np.flatnonzero(rows.label == 1), np.flatnonzero(rows.label == 0)
    window = rows.take(np.concatenate([positive[:80], negative[:720]]))
    found = fitted("none").estimate(hidden(window))["accuracy"]
    assert found.value == pytest.approx(accuracy(window), abs=0.05)


def test_order_of_rows_is_irrelevant() -> None:
    """The same rows in another order give the same estimates, of reference and of window alike."""
    window = hidden(broken(labelled(700, 12), "unit error", ("income",), 0.5))
    order = np.random.default_rng(1).permutation(len(window))
    method = fitted("none")
    assert method.estimate(window) == method.estimate(window.take(order))


def test_state_survives_exactly() -> None:
    """An estimator restored from its state gives the very same answers."""
    window = hidden(broken(labelled(700, 13), "missing", ("debt",), 0.6))
    method = fitted("none")
    assert Mpp.from_state(method.state()).estimate(window) == method.estimate(window)


def test_interval_grows_with_level_and_stays_in_range() -> None:
    """A higher level is wider, and no interval leaves its metric's range."""
    window = hidden(labelled(300, 14))
    narrow, wide = (fitted("none").estimate(window, level=level) for level in (0.5, 0.99))
    for metric in METRICS:
        low, high = narrow[metric], wide[metric]
        assert low.lower is not None
        assert high.lower is not None
        assert high.lower <= low.lower
        assert high.lower >= 0.0
    assert (wide["accuracy"].upper or 0.0) <= 1.0


@pytest.mark.parametrize("size", [0, 1, 5])
def test_tiny_windows_get_an_honest_answer(size: int) -> None:
    """A window of no rows has no estimate and says why; one of a few rows is never `ok`."""
    found = fitted("none").estimate(hidden(labelled(50, 15).take(np.arange(size))))
    for estimate in found.values():
        assert estimate.status is not EstimateStatus.OK
        assert estimate.note
        assert (estimate.value is None) == (estimate.status is EstimateStatus.NOT_IDENTIFIABLE)


def test_window_without_any_feature_value() -> None:
    """A window of which every feature is missing gets finite numbers or a reason, never NaN."""
    rows = labelled(400, 16)
    features = rows.features.assign(income=np.nan, age=np.nan, debt=np.nan, region=None)
    features["region"] = features["region"].astype(object)
    for estimate in fitted("none").estimate(hidden(answered(rows, features))).values():
        assert estimate.value is None or np.isfinite(estimate.value)


def test_scorer_of_another_model_is_refused_at_fit() -> None:
    """A scorer that does not reproduce the logged predictions is refused, saying what to give."""

    def wrong(features: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        prediction, scores = scorer(features)
        return 1 - prediction, scores

    with pytest.raises(DataError, match="give the scorer of this model version"):
        Mpp.fit(FitInputs(labelled(600, 0), ("accuracy",), scorer=wrong))


def test_regression_follows_a_unit_error() -> None:
    """The error of a regressor whose input came in other units is estimated within a third."""
    features, _ = table(1600, 20)
    noise = np.random.default_rng(21).normal(0, 8, 1600)
    reference = Rows(
        VALUE_SCHEMA, features, value_scorer(features)[0], None, value_scorer(features)[0] + noise
    )
    method = Mpp.fit(FitInputs(reference, ("mae", "rmse"), scorer=value_scorer))
    fresh, _ = table(800, 22)
    truth = value_scorer(fresh)[0] + np.random.default_rng(23).normal(0, 8, 800)
    bad = fresh.assign(income=fresh["income"] * 10)
    window = Rows(VALUE_SCHEMA, bad, value_scorer(bad)[0], None, None)
    found = method.estimate(window, scorer=value_scorer)["mae"]
    true = float(np.abs(window.prediction - truth).mean())
    assert found.value is not None
    assert abs(np.log(found.value / true)) < 0.3
    assert "income arrives 10x too large" in (found.explanation or "")
