"""A model in an ONNX file is asked as the deployed model would be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from mlhealth.errors import ConfigError
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task
from mlhealth.scorers.opening import open_scorer

SCHEMA = ModelSchema(
    model="loans",
    version="1",
    task=Task.BINARY,
    features=tuple(Feature(name, FeatureType.NUMERIC, Storage.FLOAT) for name in ("age", "income")),
    prediction="y_pred",
    prediction_storage=Storage.INTEGER,
    scores=("y_score",),
    classes=("0", "1"),
)


@pytest.fixture
def fitted(tmp_path: Path, rng: np.random.Generator) -> tuple[LogisticRegression, Path, NDArray[np.float32]]:
    """Return a model, the ONNX file made of it, and rows that it was trained on."""
    rows = rng.normal(size=(400, 2)).astype(np.float32)
    model = LogisticRegression().fit(rows, rows[:, 0] + rng.normal(size=400) > 0)
    model.classes_ = np.array([0, 1])
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(model, rows[:1]).SerializeToString())
    return model, path, rows


def test_an_onnx_file_answers_as_its_model_does(
    fitted: tuple[LogisticRegression, Path, NDArray[np.float32]],
) -> None:
    """Predictions and probabilities of the file equal those of the model it was made from."""
    model, path, rows = fitted
    frame = pd.DataFrame(rows.astype(np.float64), columns=["age", "income"])
    prediction, scores = open_scorer(str(path), SCHEMA)(frame)
    assert prediction.tolist() == model.predict(rows).tolist()
    assert scores is not None
    np.testing.assert_allclose(scores, model.predict_proba(rows), atol=1e-5)


def test_a_file_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    """Bytes that are not ONNX, and a file that is not there, are said to be so, with the path."""
    path = tmp_path / "model.onnx"
    with pytest.raises(ConfigError, match="there is no such file"):
        open_scorer(str(path), SCHEMA)
    path.write_bytes(b"not a model")
    with pytest.raises(ConfigError, match="is not an ONNX model"):
        open_scorer(str(path), SCHEMA)
