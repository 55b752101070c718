"""Run by Evidently's own interpreter: what its data drift preset says, at its defaults, of each window."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import pandas as pd

warnings.filterwarnings("ignore")
# Evidently reads its statistical tests while it is imported, and warns.
from evidently import DataDefinition, Dataset, Report  # type: ignore[import-not-found]  # noqa: E402
from evidently.presets import DataDriftPreset  # type: ignore[import-not-found]  # noqa: E402


def main(folder: Path) -> None:
    """Write, for every window, whether any column drifted, and whether the data set did."""
    told = json.loads((folder / "task.json").read_text())
    features, categorical = told["features"], told["categorical"]
    numeric = [name for name in features if name not in categorical]
    given = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
    reference = Dataset.from_pandas(
        pd.read_parquet(folder / "reference.parquet")[features], data_definition=given
    )
    answers: list[dict[str, bool]] = []
    for _, window in pd.read_parquet(folder / "windows.parquet").groupby("__window", sort=True):
        current = Dataset.from_pandas(window[features].reset_index(drop=True), data_definition=given)
        try:
            metrics = Report([DataDriftPreset()]).run(current, reference).dict()["metrics"]
        except ValueError as error:  # a window with a column that is empty throughout
            print(error, file=sys.stderr)
            answers.append({})
            continue
        counted = next(m["value"] for m in metrics if m["metric_name"].startswith("DriftedColumnsCount"))
        answers.append(
            {
                "Evidently, any column": bool(counted["count"] > 0),
                "Evidently, data set (half of columns)": bool(counted["share"] >= 0.5),
            }
        )
    (folder / "answers.json").write_text(json.dumps({"windows": answers}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
