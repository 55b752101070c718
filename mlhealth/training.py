"""At the end of a training: fit the new model's baseline, hand it to the service, keep it beside the model.

`BaselineCallback` is called with the trained model, by hand or as the last hook of a training library:

    callback = BaselineCallback(schema, validation, service="https://mlhealth.example", token=TOKEN)
    callback(model.predict_proba)
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mlhealth.answering import Model, answered
from mlhealth.errors import ConfigError
from mlhealth.handing_in import hand_in
from mlhealth.notebook.api import Baseline, SchemaLike, fit, schema_of
from mlhealth.notebook.frames import Frame, to_table
from mlhealth.schema.file import SchemaFile

ARTIFACTS = "mlhealth-baseline"
"""Folder of the baseline among the artifacts of an MLflow run."""


@dataclass(frozen=True)
class BaselineCallback:
    """What to do when a training ends.

    `schema`: as for `mlhealth.fit`, but not a finished record. `validation`: labelled rows that the model was not
    trained on; the columns of its answers are filled in by asking it where they are missing. `train`: the rows it was
    trained on, which make estimates better. `folder`: where the baseline is saved. `service` and `token`: the address
    it is handed in at. `mlflow`: it is also logged to MLflow's active run, with the reference's metrics and a tag.
    """

    schema: SchemaLike
    validation: Frame
    train: Frame | None = None
    folder: str | Path | None = None
    service: str | None = None
    token: str | None = None
    mlflow: bool = False

    def __call__(self, model: Model) -> Baseline:
        """Return the baseline of a trained model: saved, handed in and logged as wished.

        Raises ConfigError or DataError where the rows do not fit the schema, DeliveryError where the service is away.
        """
        spec = schema_of(self.schema)
        if not isinstance(spec, SchemaFile):
            raise ConfigError("schema: give a mapping, a path or a SchemaFile")
        baseline = fit(
            _with_answers(self.validation, model, spec, "validation"),
            spec,
            train=None if self.train is None else _with_answers(self.train, model, spec, "train"),
            scorer=model,
        )
        if self.folder is not None:
            baseline.save(self.folder)
        if self.mlflow:
            _log(baseline)
        if self.service is not None:
            hand_in(baseline.record, self.service, self.token)
        return baseline


def _with_answers(rows: Frame, model: Model, spec: SchemaFile, name: str) -> pd.DataFrame:
    return answered(to_table(rows, name).to_pandas(), model, spec)


def _log(baseline: Baseline) -> None:
    """Log a baseline to MLflow's active run, beside the model."""
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        baseline.save(Path(folder, "baseline"))
        mlflow.log_artifacts(str(Path(folder, "baseline")), ARTIFACTS)
    values = baseline.metrics().set_index("metric")["value"].dropna()
    mlflow.log_metrics({f"mlhealth.{name}": float(value) for name, value in values.items()})
    mlflow.set_tag("mlhealth.baseline", baseline.hash)
