"""A value that comes with a new group of rows, and the same value written into rows of all kinds."""

from __future__ import annotations

import numpy as np
import pytest

from mlhealth.demo import loans
from mlhealth.estimators.ensemble.arrival import came_with_others
from mlhealth.estimators.ensemble.core import in_order
from mlhealth.estimators.ensemble.evidence import Evidence, broken_columns, far_away, outside_support
from mlhealth.estimators.ensemble.replay import Memory
from mlhealth.estimators.ensemble.screening import screen
from mlhealth.estimators.rows import Rows
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task

NUMERIC = ("age", "income", "amount", "bureau_score", "credit_history_months", "utilisation", "late_payments")
CATEGORICAL = ("employment", "purpose", "region", "channel")
SCHEMA = ModelSchema(
    "loans", "1", Task.BINARY,
    (
        *(Feature(name, FeatureType.NUMERIC, Storage.FLOAT) for name in NUMERIC),
        *(Feature(name, FeatureType.CATEGORICAL, Storage.STRING) for name in CATEGORICAL),
    ),
    "prediction", Storage.STRING, (), ("0", "1"), loans.TARGET,
)  # fmt: skip
ROWS = 500


def applications(seed: int, rows: int, *, young: float = 0.0, stuck: float = 0.0, older: float = 0.0) -> Rows:
    """Return applications, `stuck` of them with "web" written into their channel, all of them `older` by years."""
    rng = np.random.default_rng(seed)
    frame = loans.applications(rng, rows, young=young)
    channel = np.where(rng.random(rows) < stuck, "web", frame["channel"])
    frame = frame.assign(channel=channel, age=frame["age"] + older)
    features = frame[[*NUMERIC, *CATEGORICAL]].astype(dict.fromkeys(CATEGORICAL, object))
    return in_order(Rows(SCHEMA, features, np.zeros(rows, np.int64), None, None))


@pytest.fixture(scope="module")
def memory() -> Memory:
    """What is remembered of usual applications."""
    return Memory.of(applications(0, 6_000))


def called_broken(memory: Memory, window: Rows) -> set[str]:
    """Return the columns that are to be replayed."""
    scores = memory.encoding.normal_scores(window.features)
    rows = 1 / len(window) + 1 / len(memory.rows)
    movement = screen(memory.encoding, memory.expectations, memory.shares, window.features, (scores, rows))
    textual = np.isin(memory.encoding.columns, memory.encoding.categorical)
    far = far_away(memory, window)
    evidence = Evidence(movement, outside_support(memory, window), rows, far, textual)
    return {treated.name for treated in broken_columns(memory, window, scores, evidence, seed=0)}


def test_a_campaign_on_one_channel_is_no_stuck_channel(memory: Memory) -> None:
    """Young applicants who all come by web make web frequent, day after day: traffic, never a fault."""
    days = [called_broken(memory, applications(100 + day, ROWS, young=0.5)) for day in range(20)]
    assert not any("channel" in day for day in days)


@pytest.mark.parametrize("older", [0.0, 6.0])
def test_a_channel_stuck_in_rows_of_all_kinds_is_broken_though_ages_drift(
    memory: Memory, older: float
) -> None:
    """A fault takes no notice of age: rows of other channels have aged like the rest."""
    days = [called_broken(memory, applications(200 + day, ROWS, stuck=0.6, older=older)) for day in range(10)]
    assert days == [{"channel"}] * 10


def test_too_few_rows_without_the_value_tell_nothing() -> None:
    """Where nearly all rows hold the value there is nothing to compare."""
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(1_000, 2)), rng.normal(1.0, 1.0, size=(1_000, 2))
    moved = np.ones(2, dtype=np.bool_)
    reference = np.where(rng.random(1_000) < 0.5, "a", "b").astype(object), old
    few = np.array(["a"] * 960 + ["b"] * 40, dtype=object), new
    many = np.array(["a"] * 600 + ["b"] * 400, dtype=object), np.vstack([new[:600], old[:400]])
    assert not came_with_others("a", reference, few, moved)
    assert came_with_others("a", reference, many, moved)
    assert not came_with_others("a", reference, many, ~moved)
