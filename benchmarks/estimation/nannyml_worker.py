"""Run by NannyML's own interpreter: fits CBPE or DLE on reference.parquet and answers for each window."""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import nannyml  # type: ignore[import-not-found]
import pandas as pd

warnings.filterwarnings("ignore")
pd.set_option("future.infer_string", False)


def estimator(told: dict, reference: pd.DataFrame):  # type: ignore[no-untyped-def, type-arg]
    """Return NannyML's estimator for the task, at its defaults."""
    if told["task"] == "regression":
        return nannyml.DLE(
            feature_column_names=told["features"], y_pred="__prediction", y_true="__label",
            metrics=told["metrics"], chunk_number=1,
        )  # fmt: skip
    scores = [str(c) for c in reference if str(c).startswith("__score_")]
    binary = told["task"] == "binary"
    proba = scores[-1] if binary else dict(enumerate(scores))
    return nannyml.CBPE(
        y_pred="__prediction", y_true="__label", y_pred_proba=proba, metrics=told["metrics"], chunk_number=1,
        problem_type="classification_binary" if binary else "classification_multiclass",
    )  # fmt: skip


def main(folder: Path) -> None:
    """Answer for every window of the folder."""
    told = json.loads((folder / "task.json").read_text())
    reference = pd.read_parquet(folder / "reference.parquet")
    windows = pd.read_parquet(folder / "windows.parquet")
    for column in told["categorical"] if told["task"] == "regression" else []:
        for table in (reference, windows):
            table[column] = table[column].astype(object).fillna("missing")
    method = estimator(told, reference).fit(reference)
    answers = {}
    for number, rows in windows.groupby("__window"):
        start = time.process_time()
        found = (
            method.estimate(rows.drop(columns="__window").reset_index(drop=True))
            .filter(period="analysis")
            .to_df()
        )
        spent = time.process_time() - start
        values = {}
        for metric in told["metrics"]:
            part = found[metric].iloc[0]
            bounds = (part["lower_confidence_boundary"], part["upper_confidence_boundary"])
            values[metric] = [float(part["value"]), *(float(b) for b in bounds)]
        answers[str(number)] = {"metrics": values, "seconds": spent}
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
