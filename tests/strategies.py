"""Hypothesis strategies for schemas, tables of events and the layouts that profile them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from mlhealth.events.batch import EventBatch
from mlhealth.events.normalise import Origin, normalise
from mlhealth.profile.bins import CategoryBins, NumericBins
from mlhealth.profile.window_profile import PREDICTED, ProfileLayout
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task

SCHEMA = ModelSchema(
    model="loans",
    version="1",
    task=Task.BINARY,
    features=(
        Feature("income", FeatureType.NUMERIC, Storage.FLOAT),
        Feature("region", FeatureType.CATEGORICAL, Storage.STRING),
        Feature("owner", FeatureType.BOOLEAN, Storage.INTEGER),
    ),
    prediction="y_pred",
    prediction_storage=Storage.INTEGER,
    scores=("y_score",),
    classes=("0", "1"),
    label="y_true",
    timestamp="ts",
    id="event_id",
    segments=("region",),
)
"""A small binary model with one feature of each type."""

LAYOUT = ProfileLayout(
    SCHEMA,
    (
        ("income", NumericBins((-10.0, 0.0, 1.5, 1.5000001, 100.0))),
        ("region", CategoryBins(("eu", "us"), ("asia",))),
        ("owner", CategoryBins(("0", "1"))),
        (PREDICTED, CategoryBins(("0", "1"))),
    ),
    sample_rows=7,
)
"""Few bins and a tiny sample, so that short tables already overflow both."""

numbers = st.one_of(
    st.none(),
    st.sampled_from([-10.0, 0.0, 1.5, 100.0, float("nan"), float("inf"), float("-inf")]),
    st.floats(-200, 200, width=32),
)
regions = st.one_of(st.none(), st.sampled_from(["eu", "us", "asia", "mars", ""]))

events: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "income": numbers,
        "region": regions,
        "owner": st.one_of(st.none(), st.sampled_from([0, 1])),
        "y_pred": st.sampled_from([0, 1]),
        "y_score": st.floats(0, 1),
        "ts": st.integers(1_600_000_000, 1_900_000_000),
        "event_id": st.integers(0, 40).map(str),
    }
)
"""A usable event of `SCHEMA`; ids repeat often, so that duplicates with other contents are common."""


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    """Return events as a table in the user's columns."""
    types = {
        "income": pa.float64(),
        "region": pa.string(),
        "owner": pa.int64(),
        "y_pred": pa.int64(),
        "y_score": pa.float64(),
        "ts": pa.int64(),
        "event_id": pa.string(),
    }
    return pa.table({name: pa.array([row[name] for row in rows], type=kind) for name, kind in types.items()})


def batch_of(rows: list[dict[str, Any]]) -> EventBatch:
    """Return events as a canonical batch."""
    return normalise(table_of(rows), SCHEMA, Origin.file("test", len(rows))).batch


def contents(table: pa.Table) -> list[str]:
    """Return each row as one exact text, so that rows with NaN compare as people expect."""
    return [repr(sorted(row.items())) for row in table.to_pylist()]


@st.composite
def batches(draw: st.DrawFn, *, max_size: int = 30) -> EventBatch:
    """Canonical batches of `SCHEMA`, of 0 to `max_size` rows."""
    return batch_of(draw(st.lists(events, max_size=max_size)))


@st.composite
def splits(draw: st.DrawFn, rows: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.intp]]]:
    """Row positions 0 to `rows`, shuffled and cut into up to five parts, some of them empty."""
    order = np.array(draw(st.permutations(range(rows))), dtype=np.intp)
    cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=4)))
    return np.split(order, cuts)
