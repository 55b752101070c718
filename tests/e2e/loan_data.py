"""The demo's world of loans as files: what a model version was asked and answered, hour by hour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import skops.io

from mlhealth.demo import loan_year, loans
from mlhealth.demo.model import DeployedModel, train
from mlhealth.schema.model_schema import Task

START = pd.Timestamp("2026-03-01", tz="UTC")
ROWS_PER_HOUR = 1_000
SCHEMA = """\
model: loan-default
version: "1"
task: binary
columns: {prediction: prediction, score: score_1, label: defaulted, timestamp: ts, positive_class: 1}
"""


@dataclass(frozen=True)
class Lender:
    """A deployed version of the demo's model."""

    version: str
    model: DeployedModel

    @classmethod
    def first(cls) -> Lender:
        """Train version 1 on the calm world."""
        rows = loans.applications(np.random.default_rng(1), 8_000)
        return cls("1", train(rows, loans.TARGET, loans.FEATURES, Task.BINARY))

    @classmethod
    def released(cls, version: str, file: Path) -> Lender:
        """Read the version that a training job left, trusting only what the demo's model is made of."""
        pipeline = skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
        return cls(version, DeployedModel(pipeline, loans.FEATURES, Task.BINARY))

    def reference(self, folder: Path) -> tuple[Path, Path]:
        """Write labelled rows that version 1 was not trained on, and its schema; return both files."""
        data, schema = folder / "reference1.parquet", folder / "model1.yaml"
        rows = loans.applications(np.random.default_rng(2), 4_000)
        self.answered(timed(rows, -4)).to_parquet(data)
        schema.write_text(SCHEMA)
        return data, schema

    def traffic(self, path: Path, hours: range, *, broken: bool = False) -> Path:
        """Write the events of some hours, those of a recession where the world is broken; return the file."""
        self.answered(applications(hours, recession=broken)).drop(columns=[loans.TARGET]).to_parquet(path)
        return path

    def answered(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows with the version's answers."""
        return pd.concat([rows[[*loans.FEATURES, "ts", loans.TARGET]], self.model.predict(rows)], axis=1)


def applications(hours: range, *, recession: bool) -> pd.DataFrame:
    """Return the labelled applications of some hours; in a recession many more of them default."""
    world = loan_year.recession if recession else loans.applications
    return timed(world(np.random.default_rng(100 + hours.start), ROWS_PER_HOUR * len(hours)), hours.start)


def timed(rows: pd.DataFrame, hour: int) -> pd.DataFrame:
    """Return rows with the event times of the hours from `hour` on."""
    seconds = hour * 3600 + np.arange(len(rows)) * (3600 / ROWS_PER_HOUR)
    return rows.assign(ts=START + pd.to_timedelta(seconds, unit="s"))
