"""`make bench-windows`: CPU of a window's work, from columns to verdicts, beside three peers on the same rows.

40 numeric and 10 categorical features, windows of 10,000 rows. Ours: the profile with its sample, every drift statistic
of every feature with its threshold, data quality and CBPE; `whole_report_ms` is with all that no peer does beside them.
Each peer runs in an environment of its own, made on demand; where one cannot be had, its row says so. Fitting is left
out on all sides.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.alarms.peers import evidently_interpreter
from benchmarks.environments import environment
from benchmarks.estimation.nannyml_peer import interpreter as nannyml_interpreter
from benchmarks.results import Cell, markdown_table, write_results
from benchmarks.stream.data import rows_of, schema_of
from mlhealth.baseline.record import Baseline
from mlhealth.clock import HOUR
from mlhealth.detectors import Panel
from mlhealth.estimators.registry import estimator_named
from mlhealth.estimators.rows import Rows, scores_from_table
from mlhealth.events.batch import PREDICTION, EventBatch
from mlhealth.events.normalise import Origin, normalise
from mlhealth.fit import fit
from mlhealth.monitor import Evaluator
from mlhealth.profile.bins import NumericBins
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import WindowKey
from mlhealth.threads import single_threaded

ROWS = 10_000
REFERENCE = 100_000
"""Rows of the peers' reference; ours is fitted on 20,000 of them, which costs nothing afterwards."""
WORKER = Path(__file__).with_name("peer.py")
GOALS = {
    "NannyML, four methods + CBPE": 60,
    "NannyML, JS alone": 15,
    "Evidently, data drift preset": 500,
    "whylogs, log": 60,
}
WHYLOGS = "1.6.4"
INTERPRETERS: dict[str, Callable[[], Path | None]] = {
    "nannyml": nannyml_interpreter,
    "evidently": evidently_interpreter,
    "whylogs": lambda: environment(f"whylogs-{WHYLOGS}", [f"whylogs=={WHYLOGS}", "pandas<3", "pyarrow<20"]),
}
Line = dict[str, Cell]


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=5, help="how many windows each side works on")
    options = parser.parse_args()
    schema = schema_of("m")
    reference, windows = rows_of(schema, REFERENCE, 0), rows_of(schema, options.windows * ROWS, 1)
    baseline = fit(reference.slice(0, 20_000), schema, methods=["cbpe"])
    batches = [_batch(windows.slice(at, ROWS), baseline) for at in range(0, windows.num_rows, ROWS)]
    figures = ours(baseline, batches)
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(reference, Path(folder) / "reference.parquet")
        pq.write_table(windows, Path(folder) / "windows.parquet")
        theirs, notes = _peers(Path(folder), options.windows)
    lines = [_line(name, theirs.get(name), notes, float(figures["window_ms"] or 0.0) / 1e3) for name in GOALS]
    figures |= {f"times_{line['peer']}": line["times ours"] for line in lines}
    for table in ([{"figure": name, "value": value} for name, value in figures.items()], lines):
        print(markdown_table(table), end="\n\n")
    write_results("windows", figures, lines)


def ours(baseline: Baseline, batches: list[EventBatch]) -> dict[str, Cell]:
    """Return our own figures: milliseconds of a window, microseconds of a merge, bytes of a numeric feature."""
    evaluator, panel = Evaluator(baseline), Panel(baseline)
    estimator = estimator_named("cbpe", baseline.schema.task).from_state(baseline.estimators["cbpe"])
    profiles = [WindowProfile.of(batch, baseline.layout) for batch in batches]
    key = WindowKey("m", "1", "", 0, HOUR)

    def estimated(profile: WindowProfile) -> object:
        with single_threaded():
            return estimator.estimate(_answers(profile.sample, baseline), level=0.9)

    profile = _each(lambda batch: WindowProfile.of(batch, baseline.layout), batches)
    drift, estimate = _each(panel.judge, profiles), _each(estimated, profiles)
    judged = _each(lambda one: evaluator.evaluate(one, key), profiles)
    counts = [WindowProfile.of(batch, baseline.layout, sample=False) for batch in batches[:2]]
    merged = median(_spent(lambda: [counts[0].merge(counts[1]) for _ in range(100)]) / 100 for _ in range(5))
    bins = [b for _, b in baseline.layout.columns if isinstance(b, NumericBins)]
    return {
        "window_rows": ROWS,
        "window_ms": profile + drift + estimate,
        "profile_ms": profile,
        "drift_and_quality_ms": drift,
        "cbpe_ms": estimate,
        "whole_report_ms": judged,
        "merge_us": merged * 1e6,
        "state_bytes_per_numeric_feature": max(8 * b.size for b in bins) + 4 * 8,
    }


def _each(work: Callable[[Any], object], over: Sequence[Any]) -> float:
    """Return the median CPU milliseconds of the work, each done once before."""
    work(over[0])
    return median(_spent(partial(work, one)) for one in over) * 1e3


def _answers(sample: pa.Table, baseline: Baseline) -> Rows:
    """Return a sample's rows without their features, which CBPE does not look at."""
    prediction = np.asarray(sample.column(PREDICTION).to_numpy(), dtype=np.int64)
    nothing = pd.DataFrame(index=pd.RangeIndex(len(prediction)))
    return Rows(baseline.schema, nothing, prediction, scores_from_table(sample, baseline.schema))


def _batch(table: pa.Table, baseline: Baseline) -> EventBatch:
    return normalise(table, baseline.schema, Origin.file("windows", ROWS), labels=False).batch


def _peers(folder: Path, windows: int) -> tuple[dict[str, float], dict[str, str]]:
    """Return each peer's CPU seconds of one window by line, and why a peer has none."""
    found: dict[str, float] = {}
    notes: dict[str, str] = {}
    for name in INTERPRETERS:
        try:
            told = _asked(name, folder)
        except (OSError, RuntimeError) as error:
            notes[name] = str(error)
            continue
        if name == "nannyml":
            found["NannyML, JS alone"] = told["js"] / windows
            found["NannyML, four methods + CBPE"] = (told["four"] + told["cbpe"]) / windows
        elif name == "evidently":
            found["Evidently, data drift preset"] = told["preset"]
        else:
            found["whylogs, log"] = told["log"]
    return found, notes


def _asked(name: str, folder: Path) -> dict[str, float]:
    python = INTERPRETERS[name]()
    if python is None:
        raise RuntimeError("its environment could not be made")
    command = [str(python), str(WORKER), name, str(folder), str(ROWS)]
    told = {
        **os.environ,
        "NML_DISABLE_USAGE_LOGGING": "1",
        "DO_NOT_TRACK": "1",
        "WHYLOGS_NO_ANALYTICS": "True",
    }
    done = subprocess.run(command, capture_output=True, text=True, env=told, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["ended without a word"])[-1])
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _line(peer: str, seconds: float | None, notes: dict[str, str], own: float) -> Line:
    name = peer.partition(",")[0].lower()
    return {
        "peer": peer,
        "ms a window": None if seconds is None else round(seconds * 1e3, 1),
        "times ours": None if seconds is None else round(seconds / own, 1),
        "goal": GOALS[peer],
        "note": notes.get(name, ""),
    }


def _spent(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
