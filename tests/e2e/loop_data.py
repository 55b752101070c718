"""A real table (or, without it, a generated one) with a trained model: reference rows and 100,000 production events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

START = pd.Timestamp("2025-01-01", tz="UTC")
EVENTS = 100_000
SECONDS_PER_EVENT = 36

MODEL = """\
model: employment
version: "1"
task: binary
columns:
  prediction: y_pred
  score: y_score
  label: employed
  timestamp: ts
  positive_class: 1
  segments: [SEX]
"""


@dataclass(frozen=True)
class LoopData:
    """Files of one story: `reference` is labelled, `production` is what the model was asked afterwards."""

    reference: Path
    production: Path
    schema: Path


def employment(folder: Path, shared: Path, events: int = EVENTS) -> LoopData:
    """Write the story's files into `folder`: a model trained on the first 20,000 rows, the next 10,000 as reference."""
    source = shared / "employment_ma.parquet"
    table = pd.read_parquet(source).drop(columns=["year"]) if source.exists() else _generated()
    features = [c for c in table.columns if c != "employed"]
    texts = [c for c in features if table[c].dtype.kind not in "fi"]
    model = make_pipeline(
        make_column_transformer(
            (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), texts),
            remainder="passthrough",
        ),
        HistGradientBoostingClassifier(max_iter=60, random_state=0),
    )
    model.fit(table[features][:20_000], table["employed"][:20_000])
    reference = _scored(model, table[20_000:30_000], features)
    production = _scored(model, table[:events], features).drop(columns=["employed"])
    production["ts"] = START + pd.to_timedelta(np.arange(events) * SECONDS_PER_EVENT, unit="s")
    paths = LoopData(folder / "reference.parquet", folder / "production.parquet", folder / "model.yaml")
    reference.to_parquet(paths.reference)
    production.to_parquet(paths.production)
    paths.schema.write_text(MODEL)
    return paths


def _scored(model: object, rows: pd.DataFrame, features: list[str]) -> pd.DataFrame:
    score = model.predict_proba(rows[features])[:, 1]  # type: ignore[attr-defined]
    scored = rows.reset_index(drop=True)
    return scored.assign(y_score=score, y_pred=(score >= 0.5).astype(int))


def _generated() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    age = rng.normal(45, 18, EVENTS).clip(0, 95).round()
    school = rng.integers(1, 25, EVENTS)
    sex = rng.integers(1, 3, EVENTS)
    logit = 2.5 - np.abs(age - 42) / 9 + 0.08 * school + 0.2 * (sex == 1)
    employed = (rng.random(EVENTS) < 1 / (1 + np.exp(-logit))).astype(int)
    return pd.DataFrame(
        {"AGEP": age, "SCHL": school.astype(str), "SEX": sex.astype(str), "employed": employed}
    )
