"""Batches, profiles and detector baselines made by hand: a few columns of known kinds, drifted as asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlhealth.baseline.record import Baseline
from mlhealth.detectors import fit_nulls
from mlhealth.events.batch import KEY, PREDICTION, TIME, EventBatch, score_column
from mlhealth.profile.layout import layout_of
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task

Column = NDArray[Any]
LETTERS = np.array(list("abcdefgh"))


def schema_of(columns: dict[str, Column]) -> ModelSchema:
    """Return the schema of a binary model with these features; float columns are numeric."""
    features = tuple(
        Feature(name, FeatureType.NUMERIC, Storage.FLOAT)
        if values.dtype.kind == "f"
        else Feature(name, FeatureType.CATEGORICAL, Storage.STRING)
        for name, values in columns.items()
    )
    return ModelSchema(
        "m", "1", Task.BINARY, features, "y", Storage.INTEGER, scores=("s",), classes=("0", "1")
    )


def batch_of(columns: dict[str, Column], rng: np.random.Generator) -> EventBatch:
    """Return the columns as a batch, with scores and predictions that do not depend on them."""
    rows = len(next(iter(columns.values())))
    score = rng.beta(2.0, 2.0, rows)
    table = {
        KEY: pa.array(rng.integers(0, 2**63, rows).astype(np.uint64)),
        TIME: pa.array(np.arange(rows)),
        PREDICTION: pa.array((score > 0.5).astype(np.int16)),
        score_column("1"): pa.array(score),
    }
    for name, values in columns.items():
        table[name] = pa.array(values if values.dtype.kind == "f" else values.tolist())
    return EventBatch(schema_of(columns), pa.table(table))


def draw(rows: int, rng: np.random.Generator) -> dict[str, Column]:
    """Return columns of every awkward kind: smooth, skewed with many zeros, few values, sparse, categories."""
    sparse = rng.normal(size=rows)
    sparse[rng.random(rows) < 0.3] = np.nan
    return {
        "smooth": rng.normal(size=rows),
        "skewed": np.where(rng.random(rows) < 0.8, 0.0, rng.lognormal(5.0, 1.0, rows)),
        "few": rng.integers(0, 7, rows).astype(float),
        "sparse": sparse,
        "letter": LETTERS[np.minimum(rng.geometric(0.4, rows) - 1, 7)],
        "flag": np.where(rng.random(rows) < 0.1, "1", "0"),
    }


def shifted(rows: int, rng: np.random.Generator) -> dict[str, Column]:
    """Return the same columns, each changed beyond doubt, in shape, in range and in what is missing."""
    columns = draw(rows, rng)
    lost = rng.random(rows)
    return {
        "smooth": np.where(lost < 0.4, np.nan, columns["smooth"] * 0.1 + 6.0),
        "skewed": np.where(lost < 0.4, np.nan, 1e6),
        "few": np.where(lost < 0.4, np.nan, 9.0),
        "sparse": np.where(lost < 0.9, np.nan, 8.0),
        "letter": _mostly(lost, 0.9),
        "flag": _mostly(lost, 0.7),
    }


def _mostly(lost: NDArray[np.float64], known: float) -> Column:
    texts = np.where(lost < known, "new", "1").astype(object)
    texts[lost < 0.4] = None
    return texts


@dataclass(frozen=True)
class World:
    """A reference with its baseline, from which windows can be profiled."""

    baseline: Baseline
    seed: int = field(default=7)

    def window(self, columns: dict[str, Column], seed: int = 1) -> WindowProfile:
        """Return the profile of a window of these columns."""
        batch = batch_of(columns, np.random.default_rng(seed))
        batch = EventBatch(self.baseline.schema, batch.table)
        return WindowProfile.of(batch, self.baseline.layout)


def world_of(columns: dict[str, Column], *, seed: int = 7, in_order: bool = False) -> World:
    """Return the world whose reference holds these columns; `in_order` replays its own windows for the nulls."""
    rng = np.random.default_rng(seed)
    batch = batch_of(columns, rng)
    layout = layout_of(batch)
    profile = WindowProfile.of(batch, layout)
    nulls = fit_nulls(profile, rng, batch=batch if in_order else None)
    return World(
        Baseline(
            schema=batch.schema,
            layout=layout,
            reference=profile,
            rows=batch.table,
            metrics={},
            primary="accuracy",
            estimators={},
            nulls=nulls,
            mode="reference only",
            seed=seed,
        ),
        seed,
    )
