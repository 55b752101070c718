"""A small baseline of loan applications, and a window of it in which income arrives 100 times too large."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mlhealth.baseline.files import seal
from mlhealth.baseline.record import Baseline, ReferenceMetric
from mlhealth.clock import from_iso
from mlhealth.events.batch import EventBatch
from mlhealth.profile.layout import layout_of
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task

NUMERIC = ("income", "age", "debt_ratio", "employment_years", "loan_amount")
CATEGORICAL = ("region", "purpose", "has_guarantor")
_MADE = from_iso("2026-02-20T00:00:00Z")


def schema(model: str, version: str) -> ModelSchema:
    """Return the schema of a binary model over the features of the reports' story."""
    numeric = [Feature(name, FeatureType.NUMERIC, Storage.FLOAT) for name in NUMERIC]
    texts = [Feature(name, FeatureType.CATEGORICAL, Storage.STRING) for name in CATEGORICAL]
    return ModelSchema(
        model, version, Task.BINARY, (*numeric, *texts), "y_pred", Storage.INTEGER, classes=("0", "1")
    )


def batch(of: ModelSchema, rows: int, *, income_factor: float = 1.0, seed: int = 7) -> EventBatch:
    """Return `rows` applications."""
    rng = np.random.default_rng(seed)
    columns = {name: pa.array(rng.lognormal(3, 0.4, rows)) for name in NUMERIC}
    columns["income"] = pa.array(rng.lognormal(10, 0.5, rows) * income_factor)
    for name in CATEGORICAL:
        columns[name] = pa.array(
            rng.choice(["north", "south", "east", "west"], rows, p=[0.5, 0.3, 0.15, 0.05])
        )
    columns |= {
        "__key": pa.array(rng.integers(0, 2**63, rows), pa.uint64()),
        "__time": pa.array(np.arange(rows), pa.int64()),
        "__prediction": pa.array(rng.integers(0, 2, rows), pa.int16()),
    }
    return EventBatch(of, pa.table(columns))


def baseline(model: str, version: str) -> Baseline:
    """Return a baseline that can be looked at; nothing was fitted."""
    of = schema(model, version)
    reference = batch(of, 4_000)
    layout = layout_of(reference, sample_rows=200)
    profile = WindowProfile.of(reference, layout)
    metrics = {"accuracy": ReferenceMetric(0.882, 0.004)}
    return seal(
        Baseline(
            of,
            layout,
            profile,
            reference.table.slice(0, 50),
            metrics,
            "accuracy",
            {},
            {},
            "full",
            0,
            created=_MADE,
        )
    )


def window(of: Baseline, *, income_factor: float = 1.0) -> WindowProfile:
    """Return the profile of a window of 2,000 applications."""
    return WindowProfile.of(batch(of.schema, 2_000, income_factor=income_factor, seed=8), of.layout)
