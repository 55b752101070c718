"""Features as one float matrix for tree models: categories become their rank by frequency in the reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
MOST_CATEGORIES = 100
"""Categories of a column that keep a code of their own; the rarer ones share the next."""
LEAST_OCCURRENCES = 3
"""Rows a category needs in the reference for a code of its own."""


@dataclass(frozen=True)
class Encoder:
    """Numeric columns as they are, then categorical ones as codes: 0 the most frequent, then rarer, then unseen.

    Missing is NaN, as is every value of an absent column.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> rows = synthetic_rows(50).rows
    >>> Encoder.of(rows).matrix(rows.features).shape
    (50, 3)
    """

    numeric: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, reference: Rows) -> Encoder:
        """Learn the categories of reference rows."""
        schema = reference.schema
        return cls(schema.numeric, {name: _frequent(reference.features[name]) for name in schema.categorical})

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the matrix's columns, in order."""
        return self.numeric + tuple(self.categories)

    def matrix(self, features: pd.DataFrame) -> Floats:
        """Return the features as numbers, (n, d)."""
        out = np.full((len(features), len(self.columns)), np.nan)
        for place, name in enumerate(self.numeric):
            if name in features.columns:
                out[:, place] = features[name].to_numpy(np.float64)
        for place, (name, known) in enumerate(self.categories.items(), start=len(self.numeric)):
            if name in features.columns:
                out[:, place] = _codes(features[name], known)
        out[~np.isfinite(out)] = np.nan
        return out

    def params(self) -> dict[str, Any]:
        """Return this as JSON-able parameters."""
        return {
            "numeric": list(self.numeric),
            "categories": {name: list(known) for name, known in self.categories.items()},
        }

    @classmethod
    def of_params(cls, params: Mapping[str, Any]) -> Encoder:
        """Return the encoder that `params` was taken from."""
        return cls(
            tuple(params["numeric"]), {name: tuple(known) for name, known in params["categories"].items()}
        )


def _frequent(column: pd.Series[str]) -> tuple[str, ...]:
    counts = column.value_counts()
    counts = counts[counts >= LEAST_OCCURRENCES]
    ranked = sorted(counts.items(), key=lambda item: (-int(item[1]), str(item[0])))
    return tuple(str(category) for category, _ in ranked[:MOST_CATEGORIES])


def _codes(column: pd.Series[str], known: tuple[str, ...]) -> Floats:
    codes = pd.Index(known, dtype=object).get_indexer(pd.Index(column, dtype=object)).astype(np.float64)
    codes[codes < 0] = len(known)
    codes[column.isna().to_numpy()] = np.nan
    return codes


def with_outputs(matrix: Floats, rows: Rows) -> Floats:
    """Return the matrix with the model's answers beside it: the scores, then the prediction."""
    parts = [matrix]
    if rows.scores is not None:
        parts.append(rows.scores[:, 1:] if rows.scores.shape[1] == 2 else rows.scores)
    parts.append(rows.prediction.astype(np.float64)[:, None])
    return np.column_stack(parts)


def bearable(matrix: Floats) -> Floats:
    """Return the matrix with a single 0 in each column that has no value at all, which boosting cannot bin."""
    empty = np.isnan(matrix).all(axis=0)
    if not len(matrix) or not empty.any():
        return matrix
    out = matrix.copy()
    out[0, empty] = 0.0
    return out


def canonical_order(matrix: Floats) -> NDArray[np.intp]:
    """Return an order of the rows that depends on their contents only; equal rows are interchangeable.

    What is trained on a window then gives the same for its rows in any order.
    """
    bits = np.ascontiguousarray(np.nan_to_num(matrix, nan=-1.2345e300) + 0.0).view(np.uint64)
    odd = np.random.default_rng(20190220).integers(1, 2**63, matrix.shape[1], dtype=np.uint64) * 2 + 1
    mixed = (bits ^ (bits >> np.uint64(29))) * odd
    hashed = (mixed ^ (mixed >> np.uint64(32))).sum(axis=1, dtype=np.uint64)
    return np.argsort(hashed, kind="stable")
