"""The demo's deployed model: gradient boosting on any table, as a team would train it on a first afternoon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from mlhealth.schema.model_schema import Task, canonical_text

PREDICTION = "prediction"


def score_name(label: str) -> str:
    """Return the name of the logged probability of class `label`."""
    return f"score_{label}"


@dataclass(frozen=True)
class DeployedModel:
    """A trained model that answers a frame of features with the columns it would log."""

    pipeline: Any
    features: tuple[str, ...]
    task: Task

    @property
    def classes(self) -> tuple[str, ...]:
        """Class labels as canonical text, in the order of the model's probabilities; empty for regression."""
        return (
            () if self.task is Task.REGRESSION else tuple(canonical_text(c) for c in self.pipeline.classes_)
        )

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return `prediction` and, for classes, one `score_<class>` column each (binary: the second class only)."""
        inputs = frame[list(self.features)]
        if self.task is Task.REGRESSION:
            return pd.DataFrame({PREDICTION: self.pipeline.predict(inputs)}, index=frame.index)
        scores = self.pipeline.predict_proba(inputs)
        answer = {PREDICTION: np.asarray(self.pipeline.classes_)[scores.argmax(axis=1)]}
        names = self.classes[1:] if self.task is Task.BINARY else self.classes
        columns = scores[:, 1:] if self.task is Task.BINARY else scores
        answer |= {score_name(name): columns[:, i] for i, name in enumerate(names)}
        return pd.DataFrame(answer, index=frame.index)


def train(
    frame: pd.DataFrame, target: str, features: tuple[str, ...], task: Task, seed: int = 0
) -> DeployedModel:
    """Return a model of `target` trained on `features` of `frame`; missing values and text need no preparation."""
    text = [c for c in features if not pd.api.types.is_numeric_dtype(frame[c])]
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1, max_categories=200
    )
    columns = make_column_transformer(
        (make_pipeline(FunctionTransformer(_as_text), encoder), text),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    booster = HistGradientBoostingRegressor if task is Task.REGRESSION else HistGradientBoostingClassifier
    pipeline = make_pipeline(
        columns, booster(random_state=seed, max_iter=150, learning_rate=0.08, max_leaf_nodes=23)
    )
    return DeployedModel(pipeline.fit(frame[list(features)], frame[target]), features, task)


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return text columns without gaps, also where a column came empty and so without a type."""
    return frame.astype(object).where(frame.notna(), "(missing)").astype(str)
