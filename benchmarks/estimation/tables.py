"""Real tables as given: features as an estimator sees them, labels, and the split (in order if there is one)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task, canonical_text

ORDER_ONLY = frozenset({"year", "Month", "latitude", "longitude"})
"""Columns that say when or where a row was made; they give the order and are no features."""
TRAIN_ROWS, REFERENCE_ROWS, POOL_ROWS = 12_000, 5_000, 8_000


@dataclass(frozen=True)
class Table:
    """One table: `features` as in `Rows`, `label` class indices or values, `classes` texts (empty: regression).

    `ordered`: whether the order of its rows means anything, time or place.
    """

    name: str
    task: Task
    features: pd.DataFrame
    label: NDArray[np.int64] | NDArray[np.float64]
    classes: tuple[str, ...]
    ordered: bool = True

    @property
    def schema(self) -> ModelSchema:
        """The schema by which estimators read this table."""
        kinds = {str(c): pd.api.types.is_numeric_dtype(self.features[c]) for c in self.features}
        features = tuple(
            Feature(
                c,
                FeatureType.NUMERIC if n else FeatureType.CATEGORICAL,
                Storage.FLOAT if n else Storage.STRING,
            )
            for c, n in kinds.items()
        )
        scores = () if not self.classes else ("score",) if len(self.classes) == 2 else self.classes
        return ModelSchema(
            self.name, "1", self.task, features, "prediction", Storage.FLOAT, scores, self.classes, "label"
        )


@dataclass(frozen=True)
class Split:
    """Positions of the rows of each part; those of train and production in the order in which they are split."""

    train: NDArray[np.intp]
    reference: NDArray[np.intp]
    pool: NDArray[np.intp]
    production: NDArray[np.intp]


def load(folder: Path, name: str) -> Table:
    """Read the table `name` of `folder`, whose `datasets.json` says its target and task."""
    told = json.loads((folder / "datasets.json").read_text())[name]
    table = pd.read_parquet(folder / f"{name}.parquet").dropna(subset=[told["target"]])
    target = table.pop(told["target"])
    features = pd.DataFrame({c: _column(table[c]) for c in table if c not in ORDER_ONLY})
    task, ordered = Task(told["task"]), told.get("split") != "iid"
    if task is Task.REGRESSION:
        return Table(name, task, features, target.to_numpy(float), (), ordered)
    texts = target.map(canonical_text)
    classes = tuple(sorted(texts.unique()))
    label = pd.Categorical(texts, categories=classes).codes.astype(np.int64)
    return Table(name, task, features, label, classes, ordered)


def names(folder: Path) -> tuple[str, ...]:
    """Return the names of the tables that `folder` describes."""
    return tuple(json.loads((folder / "datasets.json").read_text()))


def split(rows: int, rng: np.random.Generator, *, ordered: bool = True) -> Split:
    """Split in order: 40 % train, 25 % halved at random into reference and pool, 35 % production.

    A table without an order is shuffled first: its file may be sorted by the target, as that of diamonds is by price,
    and a model trained on the dear ones alone says nothing of drift.
    """
    order = np.arange(rows) if ordered else rng.permutation(rows)
    first, second = int(rows * 0.40), int(rows * 0.65)
    middle = first + rng.permutation(second - first)
    half = len(middle) // 2
    train = np.sort(rng.permutation(first)[:TRAIN_ROWS])
    reference, pool = middle[:half][:REFERENCE_ROWS], middle[half:][:POOL_ROWS]
    return Split(order[train], order[reference], order[pool], order[second:])


def _column(values: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values):
        return values.astype(float).replace([np.inf, -np.inf], np.nan)
    texts = [None if pd.isna(v) else canonical_text(v) for v in values]
    return pd.Series(texts, index=values.index, dtype=object)
