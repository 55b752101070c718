"""A small lender: a table of applications with a model's answers and the truth, its schema, and its baseline."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from mlhealth.baseline.record import Baseline
from mlhealth.clock import ManualClock, from_iso
from mlhealth.config.strict_yaml import parse, validated
from mlhealth.fit import fit
from mlhealth.schema.file import SchemaFile

MODEL_YAML = """\
model: loans
version: "3"
task: binary
columns:
  prediction: y_pred
  score: y_score
  label: y_true
  timestamp: ts
  id: event_id
  positive_class: 1
  segments: [region]
"""


def loan_table(rows: int, *, seed: int = 0) -> pa.Table:
    """Return applications a minute apart; the model's scores are the true probabilities."""
    rng = np.random.default_rng(seed)
    income = rng.lognormal(3.5, 0.5, rows)
    debt = rng.gamma(2.0, 5.0, rows)
    region = rng.choice(["north", "south", "east"], rows, p=[0.5, 0.3, 0.2])
    owner = rng.integers(0, 2, rows)
    chance = 1 / (1 + np.exp(-(0.08 * debt - 0.03 * income + 0.5 * owner)))
    start = from_iso("2026-01-01T00:00:00Z")
    return pa.table(
        {
            "income": np.where(rng.random(rows) < 0.03, np.nan, income),
            "debt": debt,
            "region": region.tolist(),
            "owner": owner,
            "y_pred": (chance >= 0.5).astype(np.int64),
            "y_score": chance,
            "y_true": (rng.random(rows) < chance).astype(np.int64),
            "ts": pa.array(start + 60_000_000 * np.arange(rows), type=pa.timestamp("us", tz="UTC")),
            "event_id": [f"app-{seed}-{i}" for i in range(rows)],
        }
    )


def loan_schema() -> SchemaFile:
    """Return the schema file of the lender's model."""
    return validated(parse(MODEL_YAML, "model.yaml"), SchemaFile)


@cache
def loan_baseline() -> Baseline:
    """Return a baseline fitted with CBPE alone, which is quick."""
    return fit(loan_table(2_000), loan_schema(), methods=["cbpe"], clock=ManualClock(0))
