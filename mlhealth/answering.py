"""Labelled rows and a model → the same rows with the model's answers in the columns where the log will have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.errors import ConfigError, DataError
from mlhealth.schema.file import SchemaFile
from mlhealth.schema.model_schema import canonical_text

Model = Callable[[pd.DataFrame], Any]
"""Features to answers: `model.predict_proba`, `model.predict`, or any function like them."""


def answered(frame: pd.DataFrame, model: Model, spec: SchemaFile) -> pd.DataFrame:
    """Return `frame` with prediction and score columns, asking `model` where they are missing.

    `model` may answer with a frame of those columns; probabilities, (n, k) in the order of its owner's `classes_` (else
    of the sorted labels) or (n,) of the positive class; or predictions, (n,). Raises DataError where its answer cannot
    be read, ConfigError where the schema names no column for it.
    """
    if spec.columns.prediction in frame.columns:
        return frame
    features = frame[feature_columns(frame, spec)]
    answer = model(features)
    if isinstance(answer, pd.DataFrame):
        return pd.concat([frame, answer.set_axis(frame.index)], axis=1)
    values = np.asarray(answer)
    if len(values) != len(frame):
        raise DataError(f"the model was asked about {len(frame)} rows and answered {len(values)}")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 1 and (spec.columns.score is None or values.dtype.kind != "f"):
        return frame.assign(**{spec.columns.prediction: values})
    return frame.assign(**_from_probabilities(values, _labels(frame, model, spec), spec))


def feature_columns(frame: pd.DataFrame, spec: SchemaFile) -> list[str]:
    """Return the columns that the model sees, in the frame's order."""
    columns = spec.columns
    scores = columns.score.values() if isinstance(columns.score, Mapping) else (columns.score,)
    named = {columns.prediction, columns.label, columns.timestamp, columns.id, columns.key, *scores}
    ignored = {name for name, kind in spec.features.items() if kind is None}
    return [name for name in frame.columns if name not in named | ignored]


def _labels(frame: pd.DataFrame, model: Model, spec: SchemaFile) -> list[Any]:
    """Return the classes as they are written in the data, in the order of the model's probabilities."""
    label = spec.columns.label
    if label is None or label not in frame.columns:
        raise ConfigError("a baseline needs true labels: name their column in columns.label")
    known = sorted(frame[label].dropna().unique().tolist())
    told = list(getattr(getattr(model, "__self__", None), "classes_", known))
    return told if {canonical_text(c) for c in told} >= {canonical_text(c) for c in known} else known


def _from_probabilities(
    values: NDArray[np.float64], classes: list[Any], spec: SchemaFile
) -> dict[str, NDArray[Any]]:
    columns = spec.columns
    if values.ndim == 1:
        values = np.column_stack([1 - values, values])
        classes = sorted(
            classes,
            key=lambda c: canonical_text(c) == (columns.positive_class or canonical_text(classes[-1])),
        )
    if values.shape[1] != len(classes):
        raise DataError(f"the model answered {values.shape[1]} columns for {len(classes)} classes")
    out: dict[str, NDArray[Any]] = {columns.prediction: np.array(classes)[values.argmax(axis=1)]}
    texts = [canonical_text(c) for c in classes]
    if isinstance(columns.score, str):
        out[columns.score] = values[:, texts.index(columns.positive_class or texts[-1])]
    for text, column in columns.score.items() if isinstance(columns.score, Mapping) else ():
        out[column] = values[:, texts.index(text)]
    return out
