"""Labelled rows as plain arrays and JSON-able parameters, and back, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.estimators.rows import Rows
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task


def rows_to_data(rows: Rows) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
    """Return parameters and arrays that hold the rows."""
    schema = rows.schema
    params: dict[str, Any] = {"schema": asdict(schema), "texts": {}}
    arrays: dict[str, NDArray[np.generic]] = {"rows/prediction": rows.prediction}
    if rows.scores is not None:
        arrays["rows/scores"] = rows.scores
    if rows.label is not None:
        arrays["rows/label"] = rows.label
    arrays["rows/numeric"] = rows.features[list(schema.numeric)].to_numpy(float)
    codes = np.full((len(rows), len(schema.categorical)), -1, dtype=np.int64)
    for place, name in enumerate(schema.categorical):
        codes[:, place], texts = pd.factorize(rows.features[name], sort=True)
        params["texts"][name] = [str(t) for t in texts]
    arrays["rows/codes"] = codes
    return params, arrays


def rows_of_data(params: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]) -> Rows:
    """Return the rows that `rows_to_data` was given."""
    schema = schema_of_params(params["schema"])
    numeric = np.asarray(arrays["rows/numeric"], float)
    columns: dict[str, Any] = {name: numeric[:, j] for j, name in enumerate(schema.numeric)}
    for place, name in enumerate(schema.categorical):
        texts = np.array([*params["texts"][name], None], dtype=object)
        columns[name] = pd.Series(texts[arrays["rows/codes"][:, place].astype(int)], dtype=object)
    features = pd.DataFrame({name: columns[name] for name in schema.feature_names})
    prediction: Any = arrays["rows/prediction"]
    label: Any = arrays.get("rows/label")
    scores: Any = arrays.get("rows/scores")
    return Rows(schema, features, prediction, scores, label)


def schema_of_params(params: Mapping[str, Any]) -> ModelSchema:
    """Return the schema that `dataclasses.asdict` was given."""
    features = tuple(
        Feature(f["name"], FeatureType(f["type"]), Storage(f["storage"])) for f in params["features"]
    )
    fixed = {
        "task": Task(params["task"]),
        "features": features,
        "prediction_storage": Storage(params["prediction_storage"]),
        "scores": tuple(params["scores"]),
        "classes": tuple(params["classes"]),
        "segments": tuple(params["segments"]),
    }
    return ModelSchema(**{**dict(params), **fixed})
