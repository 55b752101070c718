"""A Ray job that answers a retraining request of mlhealth: train, fit the baseline, put it into the store.

It retrains the demo's loan model on labelled rows that came since the trouble began. As the entrypoint of a training
service of kind `ray`:

    python retrain_on_ray.py --labelled fresh.parquet --schema model.yaml --config mlhealth.yaml --out versions

The request comes in MLHEALTH_REQUEST; the last line printed tells mlhealth which version was made. Swap `learn` for
your own training, and keep the rest.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import ray
import skops.io

from mlhealth.baseline import files as baseline_files
from mlhealth.baseline.record import Baseline
from mlhealth.clock import SystemClock
from mlhealth.config import service as config
from mlhealth.demo.loans import FEATURES, TARGET
from mlhealth.demo.model import DeployedModel, train
from mlhealth.fit import fit
from mlhealth.schema.file import SchemaFile, load_schema
from mlhealth.schema.model_schema import Task
from mlhealth.store import baselines
from mlhealth.store.database import Database

TRAINED_ON = 0.5
"""The share of the labelled rows that is trained on; the baseline needs the others."""


def main() -> None:
    """Do what the request asks."""
    told = arguments()
    request = json.loads(os.environ["MLHEALTH_REQUEST"])
    version = str(int(request["version"]) + 1)
    schema = replace_version(load_schema(told.schema), version)
    rows = fresh(pd.read_parquet(told.labelled), request["data_start"])
    ray.init()
    model, known = ray.get(ray.remote(learn).remote(rows, schema))
    baseline_files.save(known, told.out / f"baseline{version}")
    skops.io.dump(model.pipeline, told.out / f"model{version}.skops")
    push(known, told.config)
    print("MLHEALTH_RESULT", json.dumps({"version": version}), flush=True)


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("labelled", "schema", "config", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def replace_version(schema: SchemaFile, version: str) -> SchemaFile:
    """Return the old version's schema for the new version."""
    return schema.model_copy(update={"version": version})


def fresh(rows: pd.DataFrame, since: str) -> pd.DataFrame:
    """Return the labelled rows from `since` on, shuffled."""
    return rows[rows["ts"] >= pd.Timestamp(since)].sample(frac=1.0, random_state=0).reset_index(drop=True)


def learn(rows: pd.DataFrame, schema: SchemaFile) -> tuple[DeployedModel, Baseline]:
    """Train on most rows, and fit the baseline on those that the model has not seen; runs on the cluster."""
    cut = int(len(rows) * TRAINED_ON)
    model = train(rows[:cut], TARGET, FEATURES, Task.BINARY)
    known = fit(answered(rows[cut:], model), schema, train=answered(rows[:cut], model))
    return model, known


def answered(rows: pd.DataFrame, model: DeployedModel) -> pa.Table:
    """Return labelled rows with the model's answers, as its log will hold them."""
    columns: list[Any] = [rows[[*FEATURES, "ts", TARGET]], model.predict(rows)]
    return pa.Table.from_pandas(pd.concat(columns, axis=1), preserve_index=False)


def push(known: Baseline, path: Path) -> None:
    """Put the baseline into the service's store, where it speaks for the new version from its first event."""
    settings = config.load(path)
    database = Database.open(settings.store)
    now = SystemClock().now()
    with database.begin() as connection:
        baselines.push(connection, known, now)
        baselines.activate(connection, known.hash, now, window=settings.model(known.schema.model).window)
    database.close()


if __name__ == "__main__":
    main()
