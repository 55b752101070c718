"""The end of a training: answers filled in, the baseline fitted, saved and handed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mlhealth as mh
from mlhealth.answering import answered
from mlhealth.errors import ConfigError, DataError, DeliveryError
from mlhealth.handing_in import hand_in
from mlhealth.notebook.api import schema_of
from mlhealth.schema.file import SchemaFile
from mlhealth.training import BaselineCallback


def spec(**columns: Any) -> SchemaFile:
    """Return the schema file of a model with these columns."""
    found = schema_of({"model": "m", "columns": {"prediction": "p", "label": "y", **columns}})
    assert isinstance(found, SchemaFile)
    return found


def frame(labels: list[Any], rows: int = 6) -> pd.DataFrame:
    """Return rows whose only feature is x, with labels in turn."""
    return pd.DataFrame({"x": np.arange(rows) / rows, "y": [labels[i % len(labels)] for i in range(rows)]})


class Fitted:
    """A model that knows its classes, in an order of its own."""

    classes_ = ("yes", "no")

    def predict_proba(self, features: pd.DataFrame) -> np.ndarray:
        """Return x as the chance of yes."""
        return np.column_stack([features["x"], 1 - features["x"]])


def test_probabilities_follow_the_models_own_classes() -> None:
    """A model whose classes are not sorted is read in its order, and the score is the positive class's."""
    found = answered(frame(["no", "yes"]), Fitted().predict_proba, spec(score="s", positive_class="yes"))
    assert found["s"].tolist() == pytest.approx((np.arange(6) / 6).tolist())
    assert found["p"].tolist() == ["no", "no", "no", "yes", "yes", "yes"]


@pytest.mark.parametrize(("positive", "first"), [("1", 0), ("0", 1), (None, 0)])
def test_one_probability_is_that_of_the_positive_class(positive: str | None, first: int) -> None:
    """What a network with one output says is read as the positive class's, whichever that is."""
    found = answered(frame([0, 1]), lambda x: x["x"].to_numpy(), spec(score="s", positive_class=positive))
    assert found["s"].tolist() == pytest.approx((np.arange(6) / 6).tolist())
    assert found["p"].iloc[0] == first


def test_classes_have_their_columns() -> None:
    """A multiclass model's probabilities go to the columns that the schema names."""
    answers = np.tile([0.2, 0.5, 0.3], (6, 1))
    columns = {"a": "sa", "b": "sb", "c": "sc"}
    found = answered(frame(["a", "b", "c"]), lambda x: answers, spec(score=columns))
    assert found[["p", "sa", "sb", "sc"]].iloc[0].tolist() == ["b", 0.2, 0.5, 0.3]


def test_predictions_and_frames_are_taken_as_they_are() -> None:
    """A regressor's numbers, a column of them, and a frame with the schema's columns need no reading."""
    rows = frame([1.5, 2.5])
    assert answered(rows, lambda x: x["x"].to_numpy() + 1, spec())["p"].tolist() == (rows["x"] + 1).tolist()
    told = answered(rows, lambda x: pd.DataFrame({"p": range(6)}), spec())
    assert told["p"].tolist() == list(range(6))
    assert answered(told, Fitted().predict_proba, spec()) is told


def test_answers_that_cannot_be_read_are_told() -> None:
    """Too few rows, too many columns, and rows without labels each say so."""
    with pytest.raises(DataError, match="asked about 6 rows and answered 2"):
        answered(frame([0, 1]), lambda x: np.zeros(2), spec())
    with pytest.raises(DataError, match="answered 3 columns for 2 classes"):
        answered(frame([0, 1]), lambda x: np.zeros((6, 3)), spec(score="s"))
    with pytest.raises(ConfigError, match=r"columns\.label"):
        answered(frame([0, 1]).drop(columns="y"), lambda x: x["x"].to_numpy(), spec(score="s"))


def test_a_callback_ends_a_training_with_a_baseline(tmp_path: Path) -> None:
    """What is saved can be loaded and judges production; the scorer made it the fullest kind."""
    rng = np.random.default_rng(0)

    def rows(count: int) -> pd.DataFrame:
        x = rng.normal(size=(count, 2))
        return pd.DataFrame(x, columns=["a", "b"]).assign(
            y=(rng.random(count) < 1 / (1 + np.exp(-2 * x[:, 0]))) * 1
        )

    def score(features: pd.DataFrame) -> np.ndarray:
        return np.asarray(1 / (1 + np.exp(-2 * features["a"].fillna(0))))

    schema = {"model": "m", "columns": {"prediction": "p", "score": "s", "label": "y"}}
    made = BaselineCallback(schema, rows(1_500), train=rows(1_000), folder=tmp_path / "b")(score)
    assert mh.Baseline.load(tmp_path / "b").hash == made.hash
    assert made.record.mode == "full"


def test_a_service_that_is_away_is_told() -> None:
    """Nothing listens, or the address is none: each is one line."""
    record: Any = None
    with pytest.raises(ConfigError, match="begins with http"):
        hand_in(record, "mlhealth:8080")
    from tests.loans import loan_baseline

    with pytest.raises(DeliveryError, match=r"127\.0\.0\.1:1: cannot be reached"):
        hand_in(loan_baseline(), "http://127.0.0.1:1")
