"""NannyML's CBPE and DLE as a peer, in a virtual environment of its own, made on demand and kept."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.environments import environment
from benchmarks.estimation.measure import Record, Truth, metrics_of
from benchmarks.estimation.windows import Case
from mlhealth.estimators.rows import Rows
from mlhealth.records import EstimateStatus, PerformanceEstimate
from mlhealth.schema.model_schema import Task

VERSION = "0.13.1"
WORKER = Path(__file__).with_name("nannyml_worker.py")
REDUCED = 1.645 / 3.0
"""NannyML's band is three sampling errors wide; scaled to the 90 % that every method here is asked for."""


def interpreter() -> Path | None:
    """Return the Python that has NannyML, making its environment if need be; None where that is not possible."""
    told = os.environ.get("NANNYML_PYTHON")
    if told:
        return Path(told)
    return environment(f"nannyml-{VERSION}", [f"nannyml=={VERSION}", "statsmodels", "setuptools<80"])


def ask(python: Path, case: Case, known: Sequence[Truth]) -> Iterator[Record]:
    """Yield NannyML's answers for all windows of one case."""
    schema = case.reference.schema
    told = {"task": schema.task.value, "classes": len(schema.classes), "metrics": list(metrics_of(case)),
            "features": list(schema.feature_names), "categorical": list(schema.categorical)}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _table(case.reference, labelled=True).to_parquet(home / "reference.parquet")
        parts = [_table(t.window.rows, labelled=False).assign(__window=t.number) for t in known]
        pd.concat(parts, ignore_index=True).to_parquet(home / "windows.parquet")
        (home / "task.json").write_text(json.dumps(told))
        environment = {**os.environ, "NML_DISABLE_USAGE_LOGGING": "1"}
        done = subprocess.run(
            [str(python), str(WORKER), folder], capture_output=True, env=environment, check=False
        )
        if done.returncode:
            print(f"NannyML failed on {case.table}: {done.stderr.decode().splitlines()[-1]}", flush=True)
            return
        answers = json.loads((home / "answers.json").read_text())
    name = "NannyML DLE" if schema.task is Task.REGRESSION else "NannyML CBPE"
    for truth in known:
        answer = answers[str(truth.number)]
        for metric in truth.metrics:
            found = _estimate(metric, answer["metrics"].get(metric), truth.reference[metric])
            yield truth.record(name, metric, found, answer["seconds"])


def _table(rows: Rows, *, labelled: bool) -> pd.DataFrame:
    table = (
        rows.features.copy() if not rows.schema.is_classification else pd.DataFrame(index=range(len(rows)))
    )
    table["__prediction"] = rows.prediction
    if rows.scores is not None:
        for place in range(rows.scores.shape[1]):
            table[f"__score_{place}"] = rows.scores[:, place]
    if labelled and rows.label is not None:
        table["__label"] = rows.label
    return table


def _estimate(metric: str, found: list[float] | None, reference: float) -> PerformanceEstimate:
    nothing = found is None or not np.isfinite(found[0])
    if found is None or nothing:
        status = EstimateStatus.NOT_IDENTIFIABLE
        return PerformanceEstimate(metric, None, None, None, status, "nannyml", reference)
    value, lower, upper = found
    half = (upper - lower) / 2 * REDUCED
    return PerformanceEstimate(
        metric, value, value - half, value + half, EstimateStatus.OK, "nannyml", reference
    )
