"""Run by a peer's own interpreter: `peer.py NAME FOLDER WINDOW_ROWS`; CPU seconds of each piece of work, as JSON."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

warnings.filterwarnings("ignore")


def nannyml(reference: Any, windows: Any, rows: int) -> dict[str, float]:
    """Univariate drift by one and by four methods, and CBPE; fitting apart."""
    import nannyml as nml  # type: ignore[import-not-found]

    features = [c for c in reference if c.startswith(("number_", "category_"))]
    categorical = [c for c in features if c.startswith("category_")]
    drift = {
        "js": (["jensen_shannon"], ["jensen_shannon"]),
        "four": (
            ["jensen_shannon", "kolmogorov_smirnov", "wasserstein", "hellinger"],
            ["jensen_shannon", "chi2", "l_infinity", "hellinger"],
        ),
    }
    found = {}
    for name, (continuous, discrete) in drift.items():
        method = nml.UnivariateDriftCalculator(
            column_names=features, treat_as_categorical=categorical, chunk_size=rows,
            continuous_methods=continuous, categorical_methods=discrete,
        )  # fmt: skip
        found[f"{name} fit"] = spent(partial(method.fit, reference))
        found[name] = spent(partial(method.calculate, windows))
    cbpe = nml.CBPE(
        y_pred="y_pred", y_pred_proba="y_score", y_true="y_true", problem_type="classification_binary",
        metrics=["accuracy", "roc_auc", "f1"], chunk_size=rows,
    )  # fmt: skip
    found["cbpe fit"] = spent(lambda: cbpe.fit(reference))
    return {**found, "cbpe": spent(lambda: cbpe.estimate(windows))}


def evidently(reference: Any, windows: Any, rows: int) -> dict[str, float]:
    """The data drift preset at its defaults, on one window."""
    from evidently import Report  # type: ignore[import-not-found]
    from evidently.presets import DataDriftPreset  # type: ignore[import-not-found]

    features = [c for c in reference if c.startswith(("number_", "category_"))]
    window = windows.iloc[:rows]
    report = Report([DataDriftPreset()])
    return {"preset": spent(lambda: report.run(window[features], reference[features]).dict())}


def whylogs(reference: Any, windows: Any, rows: int) -> dict[str, float]:
    """Logging of three windows, and a merge of two profiles."""
    import whylogs as why  # type: ignore[import-not-found]

    parts = [windows.iloc[at : at + rows] for at in range(0, 3 * rows, rows)]
    profiles: list[Any] = []
    logged = spent(lambda: profiles.extend(why.log(part).view() for part in parts))
    return {"log": logged / 3, "merge": spent(lambda: profiles[0].merge(profiles[1]))}


def spent(work: Callable[[], object]) -> float:
    """Return the CPU seconds of some work."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def main() -> None:
    """Measure what the first argument names and print it."""
    name, folder, rows = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    reference, windows = (pd.read_parquet(folder / f"{table}.parquet") for table in ("reference", "windows"))
    for table in (reference, windows):
        for column in [name for name in map(str, table) if name.startswith("category_")]:
            table[column] = table[column].astype(object)
    known = {"nannyml": nannyml, "evidently": evidently, "whylogs": whylogs}
    print(json.dumps(known[name](reference, windows, rows)))


if __name__ == "__main__":
    main()
