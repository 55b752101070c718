"""Asking the deployed model about rows: a Python function, an ONNX file, or a scoring URL."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.errors import ConfigError, DataError
from mlhealth.estimators.rows import Scorer
from mlhealth.schema.model_schema import FeatureType, ModelSchema, Storage, canonical_text

Answer = tuple[NDArray[np.float64], NDArray[np.float64] | None]


@dataclass(frozen=True)
class ScorerSettings:
    """Limits on one call: seconds, and rows."""

    timeout: float = 10.0
    batch_rows: int = 2_000
    headers: Mapping[str, str] = field(default_factory=dict)


def open_scorer(spec: str, schema: ModelSchema, settings: ScorerSettings | None = None) -> Scorer:
    """Return the scorer that `spec` names.

    `file.py:function` (a pandas DataFrame of features in, a DataFrame with the schema's prediction and score columns
    out, same rows), `model.onnx`, or an http(s) URL that speaks the Open Inference Protocol or MLflow's `/invocations`.
    Raises ConfigError where it cannot be opened.
    """
    limits = settings or ScorerSettings()
    if spec.startswith(("http://", "https://")):
        from mlhealth.scorers.over_http import http_scorer

        answer = http_scorer(spec, schema, limits)
    elif spec.endswith(".onnx"):
        answer = _onnx_scorer(Path(spec), schema)
    elif ".py:" in spec:
        answer = _python_scorer(spec, schema)
    else:
        raise ConfigError(f"scorer {spec!r} is none of file.py:function, model.onnx, http(s)://…")
    return _limited(answer, limits)


def original_features(features: pd.DataFrame, schema: ModelSchema) -> pd.DataFrame:
    """Return canonical features as the model itself sees them: integers, texts and booleans where they were such."""
    out: dict[str, Any] = {}
    for feature in schema.features:
        column = features[feature.name]
        if feature.storage is Storage.STRING:
            out[feature.name] = column.astype(object)
        elif feature.type is FeatureType.NUMERIC:
            out[feature.name] = _as_stored(column.to_numpy(dtype=np.float64), feature.storage)
        else:
            numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
            out[feature.name] = _as_stored(numbers, feature.storage)
    return pd.DataFrame(out, index=features.index)


def read_answer(frame: pd.DataFrame, rows: int, schema: ModelSchema, name: str) -> Answer:
    """Return (prediction, scores) from a frame with the schema's prediction and score columns."""
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"scorer {name}: must return a pandas DataFrame, returned {type(frame).__name__}")
    missing = [c for c in (schema.prediction, *schema.scores) if c not in frame.columns]
    if missing:
        raise DataError(
            f"scorer {name}: its answer has no column {missing[0]!r}; it has {', '.join(map(str, frame.columns))}"
        )
    if len(frame) != rows:
        raise DataError(f"scorer {name}: was asked about {rows} rows and answered {len(frame)}")
    return _prediction(frame[schema.prediction], schema, name), _scores(frame, schema, name)


def _as_stored(values: NDArray[np.float64], storage: Storage) -> NDArray[Any]:
    whole = bool(np.isfinite(values).all())
    if storage is Storage.BOOLEAN:
        if whole:
            return values.astype(np.bool_)
        return np.array([None if np.isnan(value) else bool(value == 1) for value in values], dtype=object)
    if storage is Storage.INTEGER and whole and bool((np.abs(values) < 2**53).all()):
        return np.round(values).astype(np.int64) if bool((values == np.round(values)).all()) else values
    return values


def _prediction(column: pd.Series[Any], schema: ModelSchema, name: str) -> NDArray[np.float64]:
    if not schema.is_classification:
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            raise DataError(
                f"scorer {name}: column {schema.prediction!r} of its answer holds values that are no numbers"
            )
        return values
    index = {c: i for i, c in enumerate(schema.classes)}
    codes = [index.get(canonical_text(value), -1) for value in column.tolist()]
    if -1 in codes:
        odd = canonical_text(column.tolist()[codes.index(-1)])
        raise DataError(
            f"scorer {name}: answered class {odd!r}, which is none of {', '.join(schema.classes)}"
        )
    return np.array(codes, dtype=np.float64)


def _scores(frame: pd.DataFrame, schema: ModelSchema, name: str) -> NDArray[np.float64] | None:
    if not schema.scores:
        return None
    raw = frame[list(schema.scores)].to_numpy(dtype=np.float64)
    if not np.isfinite(raw).all() or raw.min(initial=0.0) < -1e-6 or raw.max(initial=1.0) > 1 + 1e-6:
        raise DataError(f"scorer {name}: its scores are not probabilities between 0 and 1")
    full = np.column_stack([1.0 - raw, raw]) if raw.shape[1] == 1 else raw
    return np.asarray(full / full.sum(axis=1, keepdims=True))


def _limited(answer: Callable[[pd.DataFrame], Answer], limits: ScorerSettings) -> Scorer:
    def ask(features: pd.DataFrame) -> Answer:
        parts = [
            answer(features.iloc[at : at + limits.batch_rows].reset_index(drop=True))
            for at in range(0, max(len(features), 1), limits.batch_rows)
        ]
        scores = [s for _, s in parts if s is not None]
        return np.concatenate([p for p, _ in parts]), np.concatenate(scores) if scores else None

    return ask


def _python_scorer(spec: str, schema: ModelSchema) -> Callable[[pd.DataFrame], Answer]:
    path, _, function = spec.rpartition(":")
    ask = _python_function(Path(path), function, spec)

    def answer(features: pd.DataFrame) -> Answer:
        try:
            frame = ask(original_features(features, schema))
        except Exception as error:
            text = (str(error).splitlines() or [""])[0]
            raise DataError(f"scorer {spec}: raised {type(error).__name__}: {text}") from error
        return read_answer(frame, len(features), schema, spec)

    return answer


def _python_function(path: Path, function: str, spec: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    if not path.is_file():
        raise ConfigError(f"scorer {spec}: there is no file {path}")
    found = importlib.util.spec_from_file_location(f"mlhealth_scorer_{path.stem}", path)
    if found is None or found.loader is None:
        raise ConfigError(f"scorer {spec}: {path} is not a Python file")
    module = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except Exception as error:
        text = (str(error).splitlines() or [""])[0]
        raise ConfigError(
            f"scorer {spec}: {path} cannot be imported: {type(error).__name__}: {text}"
        ) from error
    ask: Callable[[pd.DataFrame], pd.DataFrame] | None = getattr(module, function, None)
    if ask is None or not callable(ask):
        raise ConfigError(f"scorer {spec}: {path} has no function {function!r}")
    return ask


def _onnx_scorer(path: Path, schema: ModelSchema) -> Callable[[pd.DataFrame], Answer]:
    if importlib.util.find_spec("onnxruntime") is None:
        raise ConfigError(f"scorer {path}: needs the package onnxruntime; install mlhealth[onnx]")
    if not path.is_file():
        raise ConfigError(f"scorer {path}: there is no such file")
    from mlhealth.scorers.onnx_file import onnx_scorer

    return onnx_scorer(path, schema)
