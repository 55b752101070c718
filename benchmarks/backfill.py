"""What a backfill costs: rows per CPU-second and wall time by engine, workers, features and windows; one run each.

Each run is the command itself in a process of its own, over a store of its own; its CPU time is that of all its
processes. A live worker reads the same rows too, as a folder of files. Reports of every run over one table must be
equal, and equal to those of the live worker, number for number, or the benchmark fails.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from benchmarks.results import ROOT, Cell, markdown_table, write_results
from mlhealth.baseline.files import save
from mlhealth.clock import DAY
from mlhealth.config.strict_yaml import parse, validated
from mlhealth.fit import fit
from mlhealth.records import WindowReport
from mlhealth.report_json import from_data, to_data
from mlhealth.schema.file import SchemaFile
from mlhealth.store.database import Database
from mlhealth.store.tables import reports

SCHEMA = """
model: lake
version: "1"
task: binary
columns: {id: event, prediction: y_pred, score: y_score, label: y_true, timestamp: ts, positive_class: 1}
"""
CONFIG = """
store: sqlite:///{folder}/s.db
listen: {{port: 0}}
sources: [{{files: {{folder: "{lake}", idle: 3s, model: {{model: lake, version: "1"}}}}}}]
models:
  lake: {{window: {window}, lateness: 0s}}
"""
MLHEALTH = (sys.executable, "-m", "mlhealth")
PAGE = ROOT / "docs" / "how-to" / "backfill.md"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
START = 20_000 * DAY
DAYS = 100
SMALL = 10
"""Tables that show growth have so many times fewer rows."""


@dataclass(frozen=True)
class Lake:
    """A table of `rows` with so many features, one file a day."""

    rows: int
    features: int = 10

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.rows} rows, {self.features} features"


@dataclass(frozen=True)
class Case:
    """One run: a table cut into windows of `window`, read by an engine's workers."""

    lake: Lake
    engine: str = "local"
    workers: int = 1
    window: str = "1d"


def cases(rows: int) -> tuple[Case, ...]:
    """Return the runs: engines over the whole, the whole in few windows, growth with features and windows over less."""
    whole, less = Lake(rows), Lake(rows // SMALL)
    engines = tuple(Case(whole, engine, workers) for engine in ("local", "dask") for workers in (1, 2))
    features = tuple(Case(replace(less, features=features)) for features in (10, 30, 100))
    windows = tuple(Case(less, window=window) for window in ("6h", "2h"))
    return (*engines, Case(whole, window="7d"), *features, *windows, Case(less, "dask", 2, "2h"))


def lake_rows(lake: Lake, rows: int, seed: int, first: int) -> pa.Table:
    """Return rows evenly apart from `first` on; scores are the true probabilities."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, lake.features))
    score = 1 / (1 + np.exp(-features[:, :4].sum(axis=1)))
    times = first + DAYS * DAY // lake.rows * np.arange(rows)
    return pa.table(
        {f"f{i}": features[:, i] for i in range(lake.features)}
        | {
            "event": pc.binary_join_element_wise(f"{seed}", pa.array(np.arange(rows)).cast(pa.string()), "-"),
            "y_pred": (score >= 0.5).astype(np.int64),
            "y_score": score,
            "y_true": (rng.random(rows) < score).astype(np.int64),
            "ts": pa.array(times, type=pa.timestamp("us", tz="UTC")),
        }
    )


def prepare(folder: Path, lake: Lake) -> None:
    """Write a table of one file a day, and a baseline."""
    (folder / lake.name).mkdir()
    for day in range(DAYS):
        part = lake_rows(lake, lake.rows // DAYS, day, START + day * DAY)
        pq.write_table(part.drop_columns(["y_true"]), folder / lake.name / f"{day:04}.parquet")
    reference = lake_rows(lake, 5_000, 999, START)
    save(fit(reference, validated(parse(SCHEMA), SchemaFile)), folder / f"baseline {lake.features}")


@contextmanager
def store(folder: Path, case: Case) -> Iterator[Path]:
    """Yield the folder of a store that has the baseline, with its configuration."""
    home = Path(tempfile.mkdtemp(dir=folder))
    text = CONFIG.format(folder=home, lake=folder / case.lake.name, window=case.window)
    (home / "mlhealth.yaml").write_text(text)
    baseline = str(folder / f"baseline {case.lake.features}")
    _ran(*MLHEALTH, "baseline", "push", baseline, "-c", str(home / "mlhealth.yaml"))
    yield home
    shutil.rmtree(home)


def measured(folder: Path, case: Case) -> tuple[dict[str, Cell], list[WindowReport]]:
    """Run the command; return its figures and what it wrote."""
    with store(folder, case) as home:
        wall, used = _ran(
            *MLHEALTH, "backfill", str(folder / case.lake.name), "--model", "lake", "--version", "1",
            "-c", str(home / "mlhealth.yaml"), "--engine", case.engine, "--workers", str(case.workers),
        )  # fmt: skip
        found = list(_reports(home))
    if (rows := sum(report.rows for report in found)) != case.lake.rows:
        raise SystemExit(f"{case}: {rows} of the rows are in reports")
    cpu = used.ru_utime + used.ru_stime
    return {
        "engine": case.engine,
        "workers": case.workers,
        "rows": case.lake.rows,
        "features": case.lake.features,
        "windows": len(found),
        "wall s": round(wall, 1),
        "CPU s": round(cpu, 1),
        "rows per CPU-second": round(rows / cpu),
        "largest process MB": round(used.ru_maxrss / 1024),
    }, found


def watched(folder: Path, case: Case) -> list[WindowReport]:
    """Let a live worker read the same files, until it has closed the last window; return what it wrote."""
    with store(folder, case) as home:
        with (home / "log").open("w") as log:
            process = subprocess.Popen(
                (*MLHEALTH, "worker", "-c", str(home / "mlhealth.yaml")), stdout=log, stderr=log
            )
        found: list[WindowReport] = []
        while not found or found[-1].key.end < START + DAYS * DAY:
            time.sleep(2)
            if process.poll() is not None:
                raise SystemExit(f"the worker ended: {(home / 'log').read_text()[-2000:]}")
            found = list(_reports(home))
        process.terminate()
        process.wait()
    return found


def _ran(*command: str) -> tuple[float, resource.struct_rusage]:
    """Run a command to its end; return wall seconds, and what it and all processes it waited for have used."""
    began = time.monotonic()
    process = os.spawnv(os.P_NOWAIT, command[0], command)
    _, status, used = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: failed")
    return time.monotonic() - began, used


def _reports(home: Path) -> Iterator[WindowReport]:
    database = Database.open(f"sqlite:///{home}/s.db")
    with database.read() as connection:
        for row in connection.execute(
            sa.select(reports.c.report).where(reports.c.latest).order_by(reports.c.start)
        ):
            yield from_data(row.report)
    database.close()


def compiled(folder: Path) -> None:
    """Let the commands find compiled modules, as pip leaves them, whatever the environment says."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    _ran(sys.executable, "-c", "import distributed, mlhealth.backfill.judging, mlhealth.commands.backfill")


def sized(table: Sequence[dict[str, Cell]]) -> dict[str, Cell]:
    """Return what a cluster is sized by: slopes between runs of one process that differ in one thing."""

    def alone(name: str, least: bool, **same: int) -> dict[str, float]:
        runs = [row for row in table if row["engine"] == "local" and row["workers"] == 1]
        told = [row for row in runs if all(row[key] == value for key, value in same.items())]
        chosen = (min if least else max)(told, key=lambda row: float(row[name] or 0))
        return {key: float(value) for key, value in chosen.items() if isinstance(value, int | float)}

    most = int(max(float(row["rows"] or 0) for row in table))
    few = alone("windows", least=True, rows=most)
    short, long = (alone("windows", least, rows=most // SMALL, features=10) for least in (True, False))
    narrow, wide = (alone("features", least, rows=most // SMALL, windows=DAYS) for least in (True, False))
    spans = long["windows"] - short["windows"], (wide["features"] - narrow["features"]) * DAYS
    return {
        "rows_per_cpu_second_in_few_windows": round(few["rows"] / few["CPU s"]),
        "window_ms": round(1e3 * (long["CPU s"] - short["CPU s"]) / spans[0], 1),
        "window_ms_per_feature": round(1e3 * (wide["CPU s"] - narrow["CPU s"]) / spans[1], 2),
    }


def told(table: Sequence[dict[str, Cell]], figures: dict[str, Cell], windows: int) -> str:
    """Return the section of the page."""
    return (
        f"Two cores; every run a command of its own. The reports of all runs over a table are equal, and those of "
        f"the first\nequal, number for number, what a live worker made of the same files as a source "
        f"({windows} windows):\n\n"
        f"{markdown_table(table)}\n\n"
        f"Read off it: {figures['rows_per_cpu_second_in_few_windows']:,} rows per CPU-second where windows are few, "
        f"starts included; {figures['window_ms']} ms of CPU\nfor each further window of 10 features, and "
        f"{figures['window_ms_per_feature']} ms more for each further feature of a window."
    )


def lived(folder: Path, lake: Lake) -> list[WindowReport]:
    """Return what a live worker made of a table's files, run now unless it was before."""
    kept = folder / "live.jsonl"
    if not kept.exists():
        found = watched(folder, Case(lake))
        kept.write_text("".join(f"{json.dumps(to_data(report))}\n" for report in found))
    return [from_data(json.loads(line)) for line in kept.read_text().splitlines()]


def compared(folder: Path, todo: Sequence[Case], live: list[WindowReport]) -> list[dict[str, Cell]]:
    """Run all cases; return their figures, or end where reports over one table differ."""
    known = {(todo[0].lake, todo[0].window): live}
    table = []
    for case in todo:
        row, found = measured(folder, case)
        if known.setdefault((case.lake, case.window), found) != found:
            raise SystemExit(f"{case}: reports differ from those of another run over this table")
        table.append(row)
        print(row, flush=True)
    return table


def main() -> None:
    """Make the tables, let a live worker read the first, run all cases, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=10_000_000, help="rows of the largest table, by the thousand"
    )
    parser.add_argument("--keep", type=Path, help="folder of the tables, made there unless they are there")
    parser.add_argument("--prepare", action="store_true", help="stop before what is timed; with --keep")
    parser.add_argument(
        "--docs", action="store_true", help="write the table into docs/how-to/backfill.md too"
    )
    wanted = parser.parse_args()
    folder = wanted.keep or Path(tempfile.mkdtemp())
    folder.mkdir(exist_ok=True)
    todo = cases(wanted.rows // (SMALL * DAYS) * SMALL * DAYS)
    try:
        compiled(folder)
        for lake in dict.fromkeys(case.lake for case in todo):
            if not (folder / lake.name).exists():
                prepare(folder, lake)
        live = lived(folder, todo[0].lake)
        if wanted.prepare:
            return
        table = compared(folder, todo, live)
    finally:
        if not wanted.keep:
            shutil.rmtree(folder)
    figures = sized(table)
    text = told(table, figures, len(live))
    print(text)
    if wanted.docs:
        head, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
    write_results("backfill", figures, table)


if __name__ == "__main__":
    main()
