"""A made-up market in which a field vanishes: a model that leans on it, and one that is trained to do without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

START = pd.Timestamp("2026-03-01", tz="UTC")
ROWS_PER_HOUR = 1_000
MODEL = """\
model: churn
version: "{version}"
task: binary
columns: {{prediction: y_pred, score: y_score, label: left, timestamp: ts, positive_class: 1}}
"""


def customers(seed: int, rows: int) -> pd.DataFrame:
    """Return customers, with whether each left: `usage` and `minutes` tell nearly the same."""
    rng = np.random.default_rng(seed)
    usage, price = rng.normal(0, 1, rows), rng.normal(0, 1, rows)
    left = (rng.random(rows) < expit(5 * usage + price)).astype(int)
    return pd.DataFrame(
        {
            "usage": usage,
            "minutes": usage + rng.normal(0, 0.1, rows),
            "price": price,
            "tenure": rng.exponential(3, rows),
            "visits": rng.poisson(4, rows).astype(float),
            "left": left,
        }
    )


@dataclass(frozen=True)
class Deployed:
    """A trained model version, and how to write what it was asked and answered."""

    version: str
    features: tuple[str, ...]
    model: Pipeline

    @classmethod
    def train(cls, version: str, features: tuple[str, ...], seed: int) -> Deployed:
        """Train on five thousand customers."""
        rows = customers(seed, 5_000)
        model = make_pipeline(SimpleImputer(keep_empty_features=True), LogisticRegression())
        return cls(version, features, model.fit(rows[list(features)], rows["left"]))

    def reference(self, folder: Path, seed: int) -> tuple[Path, Path]:
        """Write labelled rows that the model was not trained on, and its schema; return both files."""
        data, schema = folder / f"reference{self.version}.parquet", folder / f"model{self.version}.yaml"
        self._answered(customers(seed, 4_000)).to_parquet(data)
        schema.write_text(MODEL.format(version=self.version))
        return data, schema

    def traffic(self, path: Path, hours: range, *, broken: bool = False) -> Path:
        """Write the events of some hours, with `usage` gone where the feed is broken; return the file."""
        rows = customers(100 + hours.start, ROWS_PER_HOUR * len(hours))
        answered = self._answered(rows.assign(usage=np.nan) if broken else rows).drop(columns=["left"])
        seconds = hours.start * 3600 + np.arange(len(rows)) * (3600 / ROWS_PER_HOUR)
        answered.assign(ts=START + pd.to_timedelta(seconds, unit="s")).to_parquet(path)
        return path

    def _answered(self, rows: pd.DataFrame) -> pd.DataFrame:
        score = self.model.predict_proba(rows[list(self.features)])[:, 1]
        kept = rows[[*self.features, "tenure", "visits", "left"]]
        return kept.assign(y_score=score, y_pred=(score >= 0.5).astype(int))
