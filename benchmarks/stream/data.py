"""Events of 40 numeric and 10 categorical features, about 1 KB as JSON, and a baseline for them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import orjson
import pyarrow as pa

from mlhealth.baseline.files import seal
from mlhealth.baseline.record import Baseline
from mlhealth.clock import DAY, to_iso
from mlhealth.fit import fit
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task

START = 20_000 * DAY
MICROS_PER_EVENT = 36_000
"""100,000 events fill a window of one hour."""
WINDOW_EVENTS = 100_000


def schema_of(model: str, numeric: int = 40, categorical: int = 10) -> ModelSchema:
    """Return a binary model's schema."""
    features = [Feature(f"number_{i:03d}", FeatureType.NUMERIC, Storage.FLOAT) for i in range(numeric)]
    features += [
        Feature(f"category_{i:03d}", FeatureType.CATEGORICAL, Storage.STRING) for i in range(categorical)
    ]
    return ModelSchema(
        model, "1", Task.BINARY, tuple(features), "y_pred", Storage.INTEGER, ("y_score",), ("0", "1"),
        label="y_true", timestamp="ts", id="event_id",
    )  # fmt: skip


def rows_of(schema: ModelSchema, rows: int, seed: int) -> pa.Table:
    """Return labelled rows: normal, lognormal and zero-inflated numbers, Zipf-like categories, 2 % missing."""
    rng = np.random.default_rng(seed)
    columns: dict[str, object] = {}
    for i, name in enumerate(schema.numeric):
        kinds = (rng.normal(size=rows), rng.lognormal(size=rows), rng.random(rows) * (rng.random(rows) > 0.4))
        columns[name] = pa.array(np.round(kinds[i % 3], 6), mask=rng.random(rows) < 0.02)
    for i, name in enumerate(schema.categorical):
        codes = np.minimum(rng.zipf(1.6, rows), 5 + 20 * i)
        columns[name] = [f"value_{code}" for code in codes.tolist()]
    score = np.round(rng.beta(2, 3, rows), 6)
    columns |= {
        "y_pred": (score >= 0.5).astype(np.int64),
        "y_score": score,
        "y_true": (rng.random(rows) < score).astype(np.int64),
    }
    return pa.table(columns)


@cache
def baseline_of(model: str, numeric: int = 40, categorical: int = 10) -> Baseline:
    """Return a baseline of 2,000 reference rows."""
    schema = schema_of(model, numeric, categorical)
    return fit(rows_of(schema, 2_000, 0), schema, methods=["cbpe"])


def renamed(baseline: Baseline, model: str) -> Baseline:
    """Return the baseline as that of another model with equal data."""
    schema = replace(baseline.schema, model=model)
    layout = replace(baseline.layout, schema=schema)
    reference = replace(baseline.reference, layout=layout)
    return seal(replace(baseline, schema=schema, layout=layout, reference=reference, hash=""))


def production(schema: ModelSchema, rows: int, first: int = 0) -> pa.Table:
    """Return rows as the model's service logs them, with times and ids."""
    return stamped(rows_of(schema, rows, 1 + first).drop_columns(["y_true"]), first)


def stamped(table: pa.Table, first: int) -> pa.Table:
    """Return the table with the times and ids of events numbered from `first` on."""
    numbers = range(first, first + table.num_rows)
    times = pa.array([to_iso(START + n * MICROS_PER_EVENT) for n in numbers])
    ids = pa.array([f"event-{n:09d}" for n in numbers])
    kept = table.drop_columns([name for name in ("ts", "event_id") if name in table.column_names])
    return kept.append_column("ts", times).append_column("event_id", ids)


def json_events(table: pa.Table) -> list[bytes]:
    """Return one JSON object per row."""
    return [orjson.dumps(row) for row in table.to_pylist()]


def arrow_messages(table: pa.Table, rows: int = 1_000) -> list[bytes]:
    """Return Arrow streams of so many rows each, their times in Arrow's own type."""
    place = table.column_names.index("ts")
    table = table.set_column(place, "ts", table.column("ts").cast(pa.timestamp("us", tz="UTC")))
    found = []
    for at in range(0, table.num_rows, rows):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.slice(at, rows).combine_chunks())
        found.append(bytes(sink.getvalue()))
    return found
