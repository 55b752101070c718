"""`Rows`: what an estimator sees of reference or window: plain columns, row for row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.errors import DataError
from mlhealth.events.batch import LABEL, PREDICTION, score_columns
from mlhealth.schema.model_schema import ModelSchema


@dataclass(frozen=True)
class Rows:
    """Rows of one model version, reference or window.

    `features`: DataFrame, (n, d), schema order; numeric columns float64 with NaN for missing (never
    infinite), categorical and boolean ones `object` of canonical text with None for missing. `prediction`:
    (n,) class index (int) or predicted value (float). `scores`: (n, k) probabilities over `schema.classes`,
    rows summing to 1, or None. `label`: as `prediction`, or None.
    """

    schema: ModelSchema
    features: pd.DataFrame
    prediction: NDArray[np.int64] | NDArray[np.float64]
    scores: NDArray[np.float64] | None = None
    label: NDArray[np.int64] | NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.prediction)

    def take(self, index: NDArray[np.intp]) -> Self:
        """Return the rows at the given positions."""
        return replace(
            self,
            features=self.features.iloc[index].reset_index(drop=True),
            prediction=self.prediction[index],
            scores=None if self.scores is None else self.scores[index],
            label=None if self.label is None else self.label[index],
        )


def answered(rows: Rows) -> Rows:
    """Return the rows whose prediction is a finite number; all of a classifier's."""
    finite = np.isfinite(rows.prediction)
    return rows if bool(finite.all()) else rows.take(np.flatnonzero(finite))


Scorer = Callable[[pd.DataFrame], tuple[NDArray[np.float64], NDArray[np.float64] | None]]
"""Asks the deployed model: features as in `Rows.features` in, (prediction, scores) as in `Rows` out."""


def rows_from_table(table: pa.Table, schema: ModelSchema) -> Rows:
    """Return the rows of a canonical table (see `mlhealth.events.batch`).

    Infinite numbers become missing, as does a feature whose column is absent or holds another type. Scores
    that are not finite are spread evenly over the classes. Raises DataError where the prediction is absent.
    """
    if PREDICTION not in table.column_names:
        raise DataError(f"the table has no column {PREDICTION}: convert it to the canonical table first")
    numeric = set(schema.numeric)
    columns = {
        name: _numbers(table, name) if name in numeric else _texts(table, name)
        for name in schema.feature_names
    }
    features = pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))
    return Rows(
        schema,
        features,
        _target(table, PREDICTION, schema),
        scores_from_table(table, schema),
        _label(table, schema),
    )


def _numbers(table: pa.Table, name: str) -> pd.Series[float]:
    if name not in table.column_names:
        return pd.Series(np.full(table.num_rows, np.nan))
    column = table.column(name)
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        values = np.array(column.to_numpy(), dtype=np.float64)
    else:
        values = np.array(
            pd.to_numeric(pd.Series(column.to_pylist(), dtype=object), errors="coerce"), np.float64
        )
    values[~np.isfinite(values)] = np.nan
    return pd.Series(values)


def _texts(table: pa.Table, name: str) -> pd.Series[str]:
    if name not in table.column_names:
        return pd.Series(np.full(table.num_rows, None, dtype=object), dtype=object)
    column = table.column(name)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        column = column.cast(pa.string())
    return pd.Series(np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False), object), dtype=object)


def _target(table: pa.Table, name: str, schema: ModelSchema) -> NDArray[np.int64] | NDArray[np.float64]:
    values = np.asarray(table.column(name).to_numpy())
    return values.astype(np.int64) if schema.is_classification else values.astype(np.float64)


def _label(table: pa.Table, schema: ModelSchema) -> NDArray[np.int64] | NDArray[np.float64] | None:
    return _target(table, LABEL, schema) if LABEL in table.column_names else None


def scores_from_table(table: pa.Table, schema: ModelSchema) -> NDArray[np.float64] | None:
    """Return the class probabilities of a canonical table, (n, k), rows summing to 1; None where it has none."""
    names = score_columns(schema)
    if not names or not set(names) <= set(table.column_names):
        return None
    raw = np.column_stack([table.column(name).to_numpy().astype(np.float64) for name in names])
    if len(names) == 1:
        raw = np.column_stack([1.0 - raw, raw])
    raw = np.clip(raw, 0.0, 1.0)
    total = raw.sum(axis=1, keepdims=True)
    usable = np.isfinite(total) & (total > 0)
    return np.asarray(np.where(usable, raw / np.where(usable, total, 1.0), 1.0 / raw.shape[1]), np.float64)
