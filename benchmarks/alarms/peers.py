"""Two peers beside us, on the same windows, each itself, at its defaults, in an environment of its own.

NannyML: univariate drift, PCA reconstruction, CBPE. Evidently: the data drift preset. Neither runs on a current pandas
or numpy, so each has a virtual environment that is made when first needed and kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.environments import environment
from benchmarks.estimation.nannyml_peer import interpreter
from benchmarks.estimation.windows import Case, Window
from mlhealth.estimators.rows import Rows

EVIDENTLY = "0.7.23"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Peer:
    """A peer's name and version, its interpreter (None where it cannot be had), and what it runs."""

    name: str
    python: Path | None
    worker: Path


def peers() -> tuple[Peer, ...]:
    """Return the peers, making their environments if need be."""
    return (
        Peer("NannyML", interpreter(), HERE / "nannyml_worker.py"),
        Peer("Evidently", evidently_interpreter(), HERE / "evidently_worker.py"),
    )


def evidently_interpreter() -> Path | None:
    """Return the Python that has Evidently, making its environment if need be; None where that is not possible."""
    return environment(f"evidently-{EVIDENTLY}", [f"evidently=={EVIDENTLY}", "pandas<3", "pyarrow"])


def ask(peer: Peer, case: Case, windows: Mapping[str, Window]) -> dict[str, dict[str, bool]]:
    """Return which of a peer's rules alarm, by window; empty where the peer cannot be had or fails.

    A peer cuts what it is given into windows of one size: those of each size are asked about together.
    """
    if peer.python is None:
        return {}
    found: dict[str, dict[str, bool]] = {}
    for size in sorted({len(window.rows) for window in windows.values()}):
        alike = {key: window for key, window in windows.items() if len(window.rows) == size}
        found |= _ask(peer, peer.python, case, alike)
    return found


def _ask(peer: Peer, python: Path, case: Case, windows: Mapping[str, Window]) -> dict[str, dict[str, bool]]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _write(home, case, list(windows.values()))
        environment = {**os.environ, "NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}
        command = [str(python), str(peer.worker), folder]
        done = subprocess.run(command, capture_output=True, env=environment, check=False)
        if done.returncode:
            print(f"{peer.name} failed on {case.table}: {done.stderr.decode().splitlines()[-1:]}", flush=True)
            return {}
        answers: list[dict[str, bool]] = json.loads((home / "answers.json").read_text())["windows"]
    return dict(zip(windows, answers, strict=True))


def _write(home: Path, case: Case, windows: Sequence[Window]) -> None:
    schema = case.reference.schema
    told = {"classes": len(schema.classes), "features": list(schema.feature_names),
            "categorical": list(schema.categorical), "rows": len(windows[0].rows)}  # fmt: skip
    _table(case.reference, labelled=True).to_parquet(home / "reference.parquet")
    parts = [_table(w.rows, labelled=False).assign(__window=i) for i, w in enumerate(windows)]
    pd.concat(parts, ignore_index=True).to_parquet(home / "windows.parquet")
    (home / "task.json").write_text(json.dumps(told))


def _table(rows: Rows, *, labelled: bool) -> pd.DataFrame:
    table = rows.features.copy()
    table["__prediction"] = rows.prediction
    if rows.scores is not None:
        for place in range(rows.scores.shape[1]):
            table[f"__score_{place}"] = rows.scores[:, place]
    if labelled and rows.label is not None:
        table["__label"] = rows.label
    return table
