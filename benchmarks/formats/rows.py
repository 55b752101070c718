"""The events that formats are timed on: of 50 features, and of three, where an event alone shows its cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task
from tests.format_writers import LOANS, Shape
from tests.strategies import SCHEMA

START = 1_767_225_600_000_000
Event = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """A model's shape and schema, and events of it."""

    shape: Shape
    schema: ModelSchema
    events: list[Event]


def narrow(n: int) -> Workload:
    """Return events of three features."""
    rng = np.random.default_rng(0)
    events = [
        {
            **_head(i),
            "income": float(rng.normal()),
            "region": ("eu", "us", "asia")[i % 3],
            "owner": i % 2,
            **_answer(i, float(rng.random())),
        }
        for i in range(n)
    ]
    return Workload(LOANS, SCHEMA, events)


def wide(n: int) -> Workload:
    """Return events of 40 numbers with six decimals and 10 categories: about 1 kB as JSON."""
    rng = np.random.default_rng(0)
    draws = (rng.normal, rng.lognormal, rng.exponential, rng.uniform)
    numbers = {f"n{j}": np.round(draws[j % 4](size=n), 6).tolist() for j in range(40)}
    codes = {f"c{j}": np.minimum(rng.zipf(1.5, n), 5 + 20 * j) for j in range(10)}
    features: dict[str, list[Any]] = {
        **numbers,
        **{name: [f"v{code}" for code in found] for name, found in codes.items()},
    }
    scores = np.round(rng.random(n), 6).tolist()
    events = [
        {**_head(i), **{name: found[i] for name, found in features.items()}, **_answer(i, scores[i])}
        for i in range(n)
    ]
    shape = Shape("loans", {name: "FP64" if name in numbers else "BYTES" for name in features})
    schema = ModelSchema(
        model="loans",
        version="1",
        task=Task.BINARY,
        features=tuple(_feature(name, is_number=name in numbers) for name in features),
        prediction="y_pred",
        prediction_storage=Storage.INTEGER,
        scores=("y_score",),
        classes=("0", "1"),
        timestamp="ts",
        id="event_id",
        segments=("c0",),
    )
    return Workload(shape, schema, events)


def _head(i: int) -> Event:
    return {"ts": START + i * 1_000, "event_id": f"e{i}"}


def _answer(i: int, score: float) -> Event:
    return {"y_pred": i % 2, "y_score": score}


def _feature(name: str, *, is_number: bool) -> Feature:
    if is_number:
        return Feature(name, FeatureType.NUMERIC, Storage.FLOAT)
    return Feature(name, FeatureType.CATEGORICAL, Storage.STRING)
