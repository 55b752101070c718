"""The models that are monitored: four common families, and each as a scorer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from benchmarks.estimation.tables import Table

PRIMARIES = ("linear", "boosting", "forest", "network")


@dataclass(frozen=True)
class Primary:
    """A fitted primary model; calling it is asking the deployed model (see `mlhealth.estimators.rows.Scorer`)."""

    model: Pipeline
    classes: int

    def __call__(self, features: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return predictions, and scores (n, k) of a classifier."""
        if not self.classes:
            return np.asarray(self.model.predict(features), dtype=float), None
        scores = np.zeros((len(features), self.classes))
        scores[:, self.model.classes_] = self.model.predict_proba(features)
        return scores.argmax(1), scores


def fit_primary(table: Table, rows: NDArray[np.intp], name: str, seed: int) -> Primary:
    """Fit one of `PRIMARIES` on the given rows of a table."""
    numeric = list(table.schema.numeric)
    text = list(table.schema.categorical)
    model = _model(name, bool(table.classes), seed)
    pipeline = make_pipeline(_encoder(numeric, text, one_hot=name in ("linear", "network")), model)
    pipeline.fit(table.features.iloc[rows], table.label[rows])
    return Primary(pipeline, len(table.classes))


def _model(name: str, classify: bool, seed: int) -> Any:
    if name == "linear":
        return LogisticRegression(max_iter=300) if classify else Ridge()
    if name == "boosting":
        kind = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
        return kind(max_iter=100, random_state=seed)
    if name == "forest":
        forest = RandomForestClassifier if classify else RandomForestRegressor
        return forest(60, min_samples_leaf=3, random_state=seed)
    network = MLPClassifier if classify else MLPRegressor
    return network(hidden_layer_sizes=(48,), early_stopping=True, max_iter=60, random_state=seed)


def _none_to_text(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(object).where(frame.notna(), "missing")


def _encoder(numeric: list[str], text: list[str], *, one_hot: bool) -> ColumnTransformer:
    filled = FunctionTransformer(_none_to_text)
    if one_hot:
        numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
        words = make_pipeline(filled, OneHotEncoder(min_frequency=20, handle_unknown="infrequent_if_exist"))
    else:
        numbers = make_pipeline(SimpleImputer(strategy="constant", fill_value=-9999.0))
        coder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=10)
        words = make_pipeline(filled, coder)
    return ColumnTransformer([("numbers", numbers, numeric), ("words", words, text)])
