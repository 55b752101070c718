"""Two peers beside us, on the same windows.

NannyML itself (univariate drift, PCA reconstruction, CBPE, all with their own default methods and thresholds) runs in
an environment of its own (`benchmarks.estimation.nannyml_peer.interpreter`). Evidently does not import with a current
numpy and pandas, so the documented rule of its data drift preset is applied by code of our own: Wasserstein distance
over the standard deviation, or Jensen-Shannon distance for categories, at 0.1; the data set drifts when half of its
columns do.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from benchmarks.alarms.judging_records import Judged
from benchmarks.estimation.nannyml_peer import interpreter
from benchmarks.estimation.windows import Case, Window
from mlhealth.estimators.rows import Rows

LIMIT = 0.1
WORKER = Path(__file__).with_name("nannyml_worker.py")


class EvidentlyRule:
    """The documented default of Evidently's data drift preset beyond 1,000 reference rows."""

    def __init__(self, reference: Rows) -> None:
        self._reference = reference

    def __call__(self, window: Rows) -> dict[str, bool]:
        """Return whether the rule alarms on a window, for any column and for the data set."""
        drifted = [self._drifted(window, name) for name in window.schema.feature_names]
        return {
            "Evidently's rule, any column": any(drifted),
            "Evidently's rule, half of columns": float(np.mean(drifted)) >= 0.5,
        }

    def _drifted(self, window: Rows, name: str) -> bool:
        a, b = self._reference.features[name].dropna(), window.features[name].dropna()
        if len(b) == 0:
            return True
        if name not in window.schema.numeric:
            return _distance_of_counts(a, b) > LIMIT
        return bool(wasserstein_distance(a, b) / max(float(np.std(a)), 1e-3) > LIMIT)


def with_nannyml(case: Case, pairs: Sequence[tuple[Window, Judged]]) -> tuple[list[Judged], bool]:
    """Return the judged windows with what NannyML says of those that peers are asked about, and whether it ran."""
    asked = [i for i, (_, judged) in enumerate(pairs) if judged.peers]
    python = interpreter()
    found = {} if python is None or not asked else _ask(python, case, [pairs[i][0] for i in asked])
    out = [judged for _, judged in pairs]
    for place, answer in zip(asked, found.get("windows", []), strict=False):
        out[place] = replace(out[place], peers={**out[place].peers, **answer})
    return out, bool(found)


def _ask(python: Path, case: Case, windows: Sequence[Window]) -> dict[str, Any]:
    schema = case.reference.schema
    told = {"classes": len(schema.classes), "features": list(schema.feature_names),
            "categorical": list(schema.categorical), "rows": len(windows[0].rows)}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _table(case.reference, labelled=True).to_parquet(home / "reference.parquet")
        parts = [_table(w.rows, labelled=False).assign(__window=i) for i, w in enumerate(windows)]
        pd.concat(parts, ignore_index=True).to_parquet(home / "windows.parquet")
        (home / "task.json").write_text(json.dumps(told))
        environment = {**os.environ, "NML_DISABLE_USAGE_LOGGING": "1"}
        done = subprocess.run(
            [str(python), str(WORKER), folder], capture_output=True, env=environment, check=False
        )
        if done.returncode:
            print(f"NannyML failed on {case.table}: {done.stderr.decode().splitlines()[-1:]}", flush=True)
            return {}
        answers: dict[str, Any] = json.loads((home / "answers.json").read_text())
        return answers


def _table(rows: Rows, *, labelled: bool) -> pd.DataFrame:
    table = rows.features.copy()
    table["__prediction"] = rows.prediction
    if rows.scores is not None:
        for place in range(rows.scores.shape[1]):
            table[f"__score_{place}"] = rows.scores[:, place]
    if labelled and rows.label is not None:
        table["__label"] = rows.label
    return table


def _distance_of_counts(a: pd.Series, b: pd.Series) -> float:
    values = pd.Index(a.unique()).union(pd.Index(b.unique()))
    p, q = (v.value_counts().reindex(values, fill_value=0).to_numpy(np.int64) for v in (a, b))
    return _jensen_shannon(p, q)


def _jensen_shannon(p: NDArray[Any], q: NDArray[Any]) -> float:
    return float(np.nan_to_num(jensenshannon(p, q, base=2)))
