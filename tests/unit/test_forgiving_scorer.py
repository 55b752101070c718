"""Models that refuse missing values or new categories can still be asked about made-up rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import mlhealth as mh
from mlhealth.errors import DataError
from mlhealth.estimators.rows import Rows
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task
from mlhealth.scorers.forgiving import REFUSED, ForgivingScorer
from mlhealth.scorers.opening import Answer

FEATURES = (
    Feature("size", FeatureType.NUMERIC, Storage.FLOAT),
    Feature("colour", FeatureType.CATEGORICAL, Storage.STRING),
)
SCHEMA = ModelSchema("m", "1", Task.REGRESSION, FEATURES, "prediction", Storage.FLOAT)
ROWS = Rows(
    SCHEMA,
    pd.DataFrame({"size": [1.0, 2.0, 3.0], "colour": pd.Series(["red", "red", "blue"], dtype=object)}),
    np.zeros(3),
)


def _strict(features: pd.DataFrame) -> Answer:
    """Refuse gaps, and answer the size, negative where the colour is blue."""
    if features.isna().any().any() or not set(features["colour"]) <= {"red", "blue"}:
        raise DataError("a row has a gap")
    return np.where(features["colour"] == "blue", -1.0, 1.0) * features["size"].to_numpy(), None


def _frame(size: float, colour: str | None) -> pd.DataFrame:
    return pd.DataFrame({"size": [size, 5.0], "colour": pd.Series([colour, "blue"], dtype=object)})


@pytest.mark.parametrize(
    ("features", "answer"),
    [
        (_frame(7.0, "red"), [7.0, -5.0]),
        (_frame(np.nan, "blue"), [-2.0, -5.0]),
        (_frame(7.0, None), [7.0, -5.0]),
        (_frame(7.0, "green"), [7.0, -5.0]),
    ],
    ids=["no gap", "missing number", "missing category", "new category"],
)
def test_gaps_are_filled_with_the_usual_value(features: pd.DataFrame, answer: list[float]) -> None:
    """A refused row is asked with the median or the most frequent category; other rows are asked as they are."""
    scorer = ForgivingScorer.of(_strict, ROWS)
    assert scorer(features)[0].tolist() == answer
    assert scorer(features)[0].tolist() == answer


def test_a_model_that_takes_gaps_gets_them() -> None:
    """Nothing is filled in for a model that answers rows with gaps itself."""
    scorer = ForgivingScorer.of(
        lambda features: (features["size"].isna().to_numpy().astype(np.float64), None), ROWS
    )
    assert scorer(_frame(np.nan, None))[0].tolist() == [1.0, 0.0]
    assert not scorer.refused


def test_a_model_that_refuses_whole_rows_is_not_hidden() -> None:
    """Where rows without gaps are refused, the model's own words are passed on."""

    def broken(_: pd.DataFrame) -> Answer:
        raise DataError("no such model")

    with pytest.raises(DataError, match="no such model"):
        ForgivingScorer.of(broken, ROWS)(_frame(1.0, "red"))


def test_a_baseline_is_fitted_with_a_model_that_refuses_gaps(rng: np.random.Generator) -> None:
    """A plain logistic regression serves as scorer, and the fit says what was done about its refusals."""
    rows = pd.DataFrame(rng.normal(size=(800, 2)), columns=["a", "b"])
    truth = (rng.random(800) < 1 / (1 + np.exp(-2 * rows["a"]))).astype(int)
    model = LogisticRegression().fit(rows, truth)
    logged = rows.assign(p=model.predict_proba(rows)[:, 1], y=model.predict(rows), truth=truth)
    schema = {"model": "plain", "columns": {"prediction": "y", "score": "p", "label": "truth"}}
    with pytest.warns(UserWarning, match="the scorer refuses rows with missing values") as warned:
        baseline = mh.fit(logged, schema, scorer=model.predict_proba)
    assert [str(warning.message) for warning in warned] == [REFUSED]
    assert "mpp" in baseline.record.estimators
