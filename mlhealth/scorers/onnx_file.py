"""Asking a model in an ONNX file, by onnxruntime (the extra `onnx`).

The graph takes one input per feature, named as in the schema, or one float matrix of the numeric features in schema
order. Of its outputs, integers or texts of shape (n,) are the prediction and floats of shape (n, classes), or one map
per row, are the scores, as sklearn-onnx writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd

from mlhealth.errors import ConfigError, DataError
from mlhealth.schema.model_schema import ModelSchema, canonical_text
from mlhealth.scorers.opening import Answer, original_features, read_answer


def onnx_scorer(path: Path, schema: ModelSchema) -> Callable[[pd.DataFrame], Answer]:
    """Return a function that runs the model in `path`; raises ConfigError where its inputs are not the features."""
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  onnxruntime raises its own hierarchy, which depends on the build
        raise ConfigError(f"scorer {path}: is not an ONNX model: {str(error).splitlines()[0]}") from None
    inputs = session.get_inputs()
    unknown = [i.name for i in inputs if i.name not in schema.feature_names]
    if unknown and len(inputs) > 1:
        raise ConfigError(f"scorer {path}: its input {unknown[0]!r} is not a feature of the schema")

    def answer(features: pd.DataFrame) -> Answer:
        frame = original_features(features, schema)
        if unknown:
            matrix = frame[list(schema.numeric)].to_numpy(dtype=np.float32)
            feeds = {inputs[0].name: matrix}
        else:
            feeds = {i.name: _feed(frame[i.name], i.type) for i in inputs}
        return read_answer(_frame(session.run(None, feeds), schema, path), len(features), schema, str(path))

    return answer


def _feed(column: pd.Series[Any], kind: str) -> Any:
    types: Mapping[str, Any] = {
        "tensor(float)": np.float32,
        "tensor(double)": np.float64,
        "tensor(int64)": np.int64,
        "tensor(bool)": np.bool_,
        "tensor(string)": np.str_,
    }
    return column.to_numpy().astype(types.get(kind, np.float32)).reshape(-1, 1)


def _by_class(rows: list[Mapping[object, float]], schema: ModelSchema) -> Any:
    named = pd.DataFrame([{canonical_text(name): value for name, value in row.items()} for row in rows])
    return named[list(schema.classes)].to_numpy()


def _frame(outputs: list[Any], schema: ModelSchema, path: Path) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for output in outputs:
        values = _by_class(output, schema) if isinstance(output, list) else np.asarray(output)
        if values.ndim == 2 and values.shape[1] > 1 and schema.scores:
            scores = values[:, -1:] if len(schema.scores) == 1 else values
            columns |= dict(zip(schema.scores, scores.T, strict=True))
        else:
            columns[schema.prediction] = values.reshape(-1)
    if schema.prediction not in columns:
        raise DataError(f"scorer {path}: none of its outputs is a prediction")
    return pd.DataFrame(columns)
