"""Made-up rows with a known truth: for examples, tests, and the oracle line of benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, softmax

from mlhealth.estimators.rows import Rows
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task

REGIONS = ("north", "south", "east")


@dataclass(frozen=True)
class Synthetic:
    """Labelled rows of a slightly wrong model, with the truth behind the labels.

    `truth`: (n, k) P(class | row), or for regression the (n, 1) standard deviation of the noise.
    """

    rows: Rows
    truth: NDArray[np.float64]


def synthetic_schema(task: Task = Task.BINARY, classes: int = 2) -> ModelSchema:
    """Return the schema of made-up rows: two numbers and a category."""
    names = tuple("abcdefgh"[:classes]) if task is Task.MULTICLASS else ("0", "1")
    scores = {
        Task.BINARY: ("score",),
        Task.MULTICLASS: tuple(f"score_{n}" for n in names),
        Task.REGRESSION: (),
    }[task]
    features = (
        Feature("x", FeatureType.NUMERIC, Storage.FLOAT),
        Feature("z", FeatureType.NUMERIC, Storage.FLOAT),
        Feature("region", FeatureType.CATEGORICAL, Storage.STRING),
    )
    storage = Storage.FLOAT if task is Task.REGRESSION else Storage.STRING
    return ModelSchema(
        "synthetic", "1", task, features, "prediction", storage, scores,
        () if task is Task.REGRESSION else names, "label",
    )  # fmt: skip


def synthetic_rows(n: int, *, seed: int = 0, task: Task = Task.BINARY, shift: float = 0.0) -> Synthetic:
    """Return `n` rows whose x has mean `shift`; the model overrates x and does not know z's curve.

    >>> len(synthetic_rows(10).rows)
    10
    """
    rng = np.random.default_rng(seed)
    x, z = rng.normal(shift, 1.0, n), rng.normal(0.0, 1.0, n)
    region = rng.choice(np.array(REGIONS, dtype=object), n, p=(0.5, 0.3, 0.2))
    table = pd.DataFrame({"x": x, "z": z, "region": pd.Series(region, dtype=object)})
    if task is Task.REGRESSION:
        return _regression(rng, table)
    k = 2 if task is Task.BINARY else 3
    slopes = np.linspace(-1.0, 1.0, k)
    east = (region == "east").astype(np.float64)
    truth = softmax(np.outer(x + 0.3 * z**2 - 0.5 * east, slopes) * 1.2, axis=1)
    scores = softmax(np.outer(1.3 * x + 0.2 * z, slopes) * 1.2, axis=1)
    label = (rng.random((n, 1)) > np.cumsum(truth, axis=1)[:, :-1]).sum(axis=1).astype(np.int64)
    schema = synthetic_schema(task, k)
    return Synthetic(Rows(schema, table, scores.argmax(axis=1).astype(np.int64), scores, label), truth)


def _regression(rng: np.random.Generator, table: pd.DataFrame) -> Synthetic:
    x, z = table["x"].to_numpy(), table["z"].to_numpy()
    noise = 0.3 + expit(2.0 * x)
    label = 10.0 + 2.0 * x + 0.3 * z**2 + noise * rng.normal(size=len(table))
    return Synthetic(
        Rows(synthetic_schema(Task.REGRESSION), table, 10.3 + 2.0 * x, None, label), noise[:, None]
    )
