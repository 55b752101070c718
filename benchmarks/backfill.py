"""What a backfill costs: rows per CPU-second and wall time by engine, workers, columns and windows; one run each.

Each run is the command itself in a process of its own, over a store of its own; its CPU time is that of all its
processes. Reports of every run over the same table must be equal, or the benchmark fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from benchmarks.results import ROOT, Cell, markdown_table, write_results
from mlhealth.baseline.files import save
from mlhealth.clock import DAY
from mlhealth.config.strict_yaml import parse, validated
from mlhealth.fit import fit
from mlhealth.records import WindowReport
from mlhealth.report_json import from_data
from mlhealth.schema.file import SchemaFile
from mlhealth.store.database import Database
from mlhealth.store.tables import reports

SCHEMA = """
model: lake
version: "1"
task: binary
columns: {prediction: y_pred, score: y_score, label: y_true, timestamp: ts, positive_class: 1}
"""
PAGE = ROOT / "docs" / "how-to" / "backfill.md"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
START = 20_000 * DAY
DAYS = 100


@dataclass(frozen=True)
class Case:
    """One run: a table of `columns` features cut into windows of `window`, read by an engine's workers."""

    engine: str
    workers: int
    columns: int = 10
    window: str = "1d"

    @property
    def table(self) -> str:
        """Name of its table."""
        return f"{self.columns} columns"


CASES = (
    Case("local", 1),
    Case("local", 2),
    Case("dask", 1),
    Case("dask", 2),
    Case("local", 1, window="1h"),
    Case("local", 1, columns=50),
)


def lake_rows(rows: int, columns: int, seed: int, first: int, step: int) -> pa.Table:
    """Return rows `step` microseconds apart from `first` on; scores are the true probabilities."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, columns))
    score = 1 / (1 + np.exp(-features[:, :4].sum(axis=1)))
    times = first + step * np.arange(rows)
    return pa.table(
        {f"f{i}": features[:, i] for i in range(columns)}
        | {
            "y_pred": (score >= 0.5).astype(np.int64),
            "y_score": score,
            "y_true": (rng.random(rows) < score).astype(np.int64),
            "ts": pa.array(times, type=pa.timestamp("us", tz="UTC")),
        }
    )


def prepare(folder: Path, rows: int, columns: int) -> None:
    """Write a table of one file a day, and a baseline."""
    lake = folder / f"{columns} columns"
    lake.mkdir()
    step = DAYS * DAY // rows
    for day in range(DAYS):
        part = lake_rows(rows // DAYS, columns, day, START + day * DAY, step)
        pq.write_table(part.drop_columns(["y_true"]), lake / f"{day:04}.parquet")
    reference = lake_rows(5_000, columns, 999, START, step)
    save(fit(reference, validated(parse(SCHEMA), SchemaFile)), folder / f"baseline {columns}")


def measured(folder: Path, case: Case) -> tuple[dict[str, Cell], list[WindowReport]]:
    """Run the command; return its figures and what it wrote."""
    store = Path(tempfile.mkdtemp(dir=folder))
    config = store / "mlhealth.yaml"
    config.write_text(f"store: sqlite:///{store}/s.db\nmodels:\n  lake: {{window: {case.window}}}\n")
    mlhealth = (sys.executable, "-m", "mlhealth")
    _ran(*mlhealth, "baseline", "push", str(folder / f"baseline {case.columns}"), "-c", str(config))
    wall, cpu = _ran(
        *mlhealth, "backfill", str(folder / case.table), "--model", "lake", "--version", "1", "-c", str(config),
        "--engine", case.engine, "--workers", str(case.workers),
    )  # fmt: skip
    found = list(_reports(store))
    rows = sum(report.rows for report in found)
    shutil.rmtree(store)
    return {
        "engine": case.engine,
        "workers": case.workers,
        "columns": case.columns,
        "windows": len(found),
        "rows": rows,
        "wall s": round(wall, 1),
        "CPU s": round(cpu, 1),
        "rows per CPU-second": round(rows / cpu),
    }, found


def _ran(*command: str) -> tuple[float, float]:
    """Run a command to its end; return wall and CPU seconds of it and all processes it waited for."""
    began = time.monotonic()
    process = os.spawnv(os.P_NOWAIT, command[0], command)
    _, status, used = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: failed")
    return time.monotonic() - began, used.ru_utime + used.ru_stime


def _reports(store: Path) -> Iterator[WindowReport]:
    database = Database.open(f"sqlite:///{store}/s.db")
    with database.read() as connection:
        for row in connection.execute(sa.select(reports.c.report).order_by(reports.c.start)):
            yield from_data(row.report)
    database.close()


def main() -> None:
    """Run all cases and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of each table, by the hundred")
    parser.add_argument(
        "--docs", action="store_true", help="write the table into docs/how-to/backfill.md too"
    )
    wanted = parser.parse_args()
    rows, write = wanted.rows // DAYS * DAYS, wanted.docs
    folder = Path(tempfile.mkdtemp())
    told: dict[tuple[int, str], list[WindowReport]] = {}
    table = []
    try:
        for case in CASES:
            if not (folder / case.table).exists():
                prepare(folder, rows if case.columns == 10 else rows // 5 // DAYS * DAYS, case.columns)
            row, found = measured(folder, case)
            if told.setdefault((case.columns, case.window), found) != found:
                raise SystemExit(f"{case}: reports differ from those of another engine")
            table.append(row)
            print(row, flush=True)
    finally:
        shutil.rmtree(folder)
    told_table = markdown_table(table)
    print(told_table)
    if write:
        text = PAGE.read_text()
        head, _, rest = text.partition(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n{told_table}\n{END}{rest.partition(END)[2]}")
    write_results("backfill", {"rows_per_cpu_second": table[0]["rows per CPU-second"]}, table)


if __name__ == "__main__":
    main()
