"""The folder a demo runs in: the same configuration, rules and schema files that a user would write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from mlhealth.clock import format_duration
from mlhealth.config.service import Config, load
from mlhealth.demo.model import PREDICTION, DeployedModel, score_name
from mlhealth.demo.neighbours import SECRET
from mlhealth.demo.story import TIME, Story
from mlhealth.schema.file import SchemaFile, load_schema
from mlhealth.schema.model_schema import Task

ID = "event_id"

RULES = """\
rules:
  - alert: PredictedPerformanceDrop
    when: health.status == "critical"
    for: 1
    severity: page
    annotations:
      summary: "{{ model }} version {{ version }}: {{ health.reasons | first }}"
    notify: [oncall]
    retrain: gpu
  - alert: InputBroken
    when: health.cause == "broken input" && health.status == "degraded"
    severity: warning
    annotations:
      summary: "{{ model }} version {{ version }}: {{ health.reasons | first }}"
    notify: [oncall]
"""


def write_config(folder: Path, story: Story, services: str, port: int) -> Config:
    """Write `mlhealth.yaml` and `rules.yaml` into `folder` and return what they say.

    `services` is the address of the services around mlhealth; `port` is where its own pages answer.
    """
    settings = {
        "store": "sqlite:///mlhealth.db",
        "listen": {"host": "127.0.0.1", "port": port},
        "models": {
            story.model: {
                "window": format_duration(story.window),
                "lateness": "1s",
                "segments": list(story.segments),
                "scorer": f"{services}/invocations/{{version}}",
            }
        },
        "rules": ["rules.yaml"],
        "receivers": {"oncall": {"webhook": {"url": f"{services}/oncall", "secret": SECRET}}},
        "training": {"gpu": {"webhook": {"url": f"{services}/train"}, "poll": "1s", "forget": "90d"}},
    }
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    (folder / "mlhealth.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return load(folder / "mlhealth.yaml")


def write_schema(folder: Path, story: Story, model: DeployedModel, version: str) -> SchemaFile:
    """Write the model's schema file into `folder` and return what it says."""
    columns: dict[str, object] = {
        "prediction": PREDICTION,
        "label": story.target,
        "timestamp": TIME,
        "id": ID,
    }
    if story.task is Task.BINARY:
        columns |= {"score": score_name(model.classes[1]), "positive_class": model.classes[1]}
    elif story.task is Task.MULTICLASS:
        columns["score"] = {name: score_name(name) for name in model.classes}
    if story.segments:
        columns["segments"] = list(story.segments)
    schema = {"model": story.model, "version": version, "task": str(story.task), "columns": columns}
    path = folder / f"model-{version}.yaml"
    path.write_text(yaml.safe_dump(schema, sort_keys=False), encoding="utf-8")
    return load_schema(path)


def logged(rows: pd.DataFrame, model: DeployedModel, first: int) -> pd.DataFrame:
    """Return rows as the model's inference log holds them: features, time, id from `first` on, and the answer."""
    ids = pd.Series(np.arange(first, first + len(rows)), index=rows.index).astype(str)
    return pd.concat([rows[[*model.features, TIME]], ids.rename(ID), model.predict(rows)], axis=1)


def labelled(rows: pd.DataFrame, model: DeployedModel, target: str) -> pa.Table:
    """Return rows with the model's answer and their true label, as a baseline is fitted on."""
    return pa.Table.from_pandas(logged(rows, model, 0).assign(**{target: rows[target]}), preserve_index=False)
