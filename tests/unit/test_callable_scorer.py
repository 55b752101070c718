"""A model's own methods answer as scorers, whatever shape their answers have."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from mlhealth.errors import DataError
from mlhealth.estimators.rows import Rows
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task
from mlhealth.scorers.calling import callable_scorer

FEATURES = tuple(Feature(name, FeatureType.NUMERIC, Storage.FLOAT) for name in ("a", "b"))


def _schema(task: Task, classes: tuple[str, ...] = (), scores: tuple[str, ...] = ()) -> ModelSchema:
    storage = Storage.FLOAT if task is Task.REGRESSION else Storage.STRING
    return ModelSchema("m", "1", task, FEATURES, "prediction", storage, scores, classes, label="truth")


BINARY = _schema(Task.BINARY, ("no", "yes"), ("score",))


def _answer(found: Any, _: pd.DataFrame) -> Any:
    return found


@pytest.fixture
def features(rng: np.random.Generator) -> pd.DataFrame:
    """Canonical features of 200 rows."""
    return pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])


def test_bound_predict_proba_is_read_in_the_order_of_its_classes(features: pd.DataFrame) -> None:
    """Columns of `predict_proba` are matched to classes by name, though the model sorts them another way."""
    schema = _schema(Task.BINARY, ("yes", "no"), ("score",))
    model = LogisticRegression().fit(features, np.where(features["a"] > 0, "yes", "no"))
    prediction, scores = callable_scorer(model.predict_proba, schema)(features)
    assert scores is not None
    assert np.allclose(scores, model.predict_proba(features)[:, ::-1])
    assert np.array_equal(prediction == 1, model.predict(features) == "no")


def test_columns_come_in_the_order_the_model_was_fitted_on(features: pd.DataFrame) -> None:
    """A model fitted on columns in another order than the schema's is asked in its own."""
    model = LogisticRegression().fit(features[["b", "a"]], np.where(features["a"] > 0, "yes", "no"))
    _, scores = callable_scorer(model.predict_proba, BINARY)(features)
    assert scores is not None
    assert np.allclose(scores, model.predict_proba(features[["b", "a"]]))


def test_a_model_fitted_without_names_is_asked_without_names(features: pd.DataFrame) -> None:
    """A model fitted on an array gets an array (scikit-learn would warn, and warnings are errors here)."""
    model = LinearRegression().fit(features.to_numpy(), features["a"] * 2.0)
    prediction, scores = callable_scorer(model.predict, _schema(Task.REGRESSION))(features)
    assert scores is None
    assert np.allclose(prediction, features["a"] * 2.0)


def test_predicted_labels_answer_without_scores(features: pd.DataFrame) -> None:
    """`model.predict` of a classifier gives predictions and no scores."""
    model = LogisticRegression().fit(features, np.where(features["b"] > 0, "yes", "no"))
    prediction, scores = callable_scorer(model.predict, BINARY)(features)
    assert scores is None
    assert np.array_equal(prediction == 1, model.predict(features) == "yes")


def test_a_column_of_probabilities_is_that_of_the_positive_class(features: pd.DataFrame) -> None:
    """A plain function may answer the positive class's probability alone, shape (n,) or (n, 1)."""
    chance = np.linspace(0.0, 1.0, len(features))
    for answer in (chance, chance[:, None]):
        prediction, scores = callable_scorer(partial(_answer, answer), BINARY)(features)
        assert scores is not None
        assert np.allclose(scores[:, 1], chance)
        assert np.array_equal(prediction == 1, chance >= 0.5)


def test_the_threshold_is_learned_from_logged_rows(features: pd.DataFrame) -> None:
    """A model that logged positive from 0.3 on is read with that threshold, not with one half."""
    chance = np.linspace(0.0, 1.0, len(features))
    logged = Rows(BINARY, features, (chance >= 0.3).astype(np.int64), np.column_stack([1 - chance, chance]))
    prediction, _ = callable_scorer(lambda _: chance, BINARY, logged)(features)
    assert np.array_equal(prediction == 1, chance >= 0.3)


def test_a_frame_of_schema_columns_is_taken_as_it_is(features: pd.DataFrame) -> None:
    """A function that answers with the schema's own columns is read like a scorer file."""
    answer = pd.DataFrame({"prediction": ["yes"] * 200, "score": [0.9] * 200})
    prediction, scores = callable_scorer(lambda _: answer, BINARY)(features)
    assert scores is not None
    assert (prediction == 1).all()
    assert np.allclose(scores[:, 1], 0.9)


def _fail(_: pd.DataFrame) -> Any:
    raise RuntimeError("no such column\nand a second line")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (_fail, "scorer _fail: raised RuntimeError: no such column"),
        (lambda _: np.zeros(3), "was asked about 200 rows and answered shape (3,)"),
        (lambda _: 1.0, "was asked about 200 rows and answered shape ()"),
        (lambda f: np.full((len(f), 3), 1 / 3), "answered 3 columns for 2 classes"),
        (lambda f: np.full((len(f), 2), 3.0), "its scores are not probabilities between 0 and 1"),
        (lambda f: np.full(len(f), "maybe"), "answered class 'maybe', which is none of no, yes"),
    ],
)
def test_answers_that_cannot_be_read_are_told_in_one_line(
    model: Any, message: str, features: pd.DataFrame
) -> None:
    """A model that fails or answers the wrong shape, range or class is told of by name, in one line."""
    with pytest.raises(DataError) as refused:
        callable_scorer(model, BINARY)(features)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
