"""How many bytes a window takes in the store, by features and segments; `make bench-capacity`, about a minute."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import sqlalchemy as sa

from benchmarks.results import Cell, write_results
from mlhealth.clock import DAY, HOUR, SECOND, ManualClock
from mlhealth.config.service import Config
from mlhealth.fit import fit
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task
from mlhealth.sources.memory import MemoryLog, MemorySource
from mlhealth.store import retention
from mlhealth.store.database import Database
from mlhealth.store.rollup_tables import day_profiles
from mlhealth.store.tables import reports, window_profiles
from tests.servers.stream import Bench, headers

START = 20_000 * DAY
ROWS_PER_WINDOW = 1_000


@dataclass(frozen=True)
class Case:
    """A model with so many numeric features and values of a segment column."""

    features: int
    segments: int


@dataclass(frozen=True)
class Sizes:
    """Bytes per window of overall and segments together; of a day once its 24 windows are merged."""

    report: float
    profile: float
    sample: float
    day: float


def measure(case: Case, windows: int) -> Sizes:
    """Fill a store with windows of an hour and return what each takes."""
    with tempfile.TemporaryDirectory() as folder:
        bench = _bench(case, Path(folder))
        _fill(bench, case, windows)
        report = _bytes(bench.database, sa.func.length(reports.c.report)) / windows
        profile = _bytes(bench.database, sa.func.length(window_profiles.c.profile)) / windows
        sample = _bytes(bench.database, sa.func.length(window_profiles.c.sample)) / windows
        retention.retain(bench.database, lambda _: retention.Ages(windows=1), START + 30 * DAY)
        day = _bytes(bench.database, sa.func.length(day_profiles.c.profile)) / (windows / 24)
        bench.database.close()
    return Sizes(report, profile, sample, day)


def _bench(case: Case, folder: Path) -> Bench:
    names = [f"f{i}" for i in range(case.features)]
    numbers = tuple(Feature(name, FeatureType.NUMERIC, Storage.FLOAT) for name in names)
    region = Feature("region", FeatureType.CATEGORICAL, Storage.STRING)
    schema = ModelSchema(
        "m", "1", Task.BINARY, (*numbers, region), "y_pred", Storage.INTEGER, ("y_score",), ("0", "1"),
        label="y", timestamp="ts", id="event_id", segments=("region",),
    )  # fmt: skip
    block = {"window": "1h", "lateness": "1h", "segments": ["region"] if case.segments else []}
    config = Config.model_validate({"models": {"default": block}})
    baseline = fit(_rows(case, 2_000), schema, methods=["cbpe"])
    bench = Bench(
        Database.open(f"sqlite:///{folder / 's.db'}"), baseline, config, ManualClock(START + 30 * DAY)
    )
    bench.prepare()
    return bench


def _rows(case: Case, rows: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    score = rng.random(rows).round(4)
    columns = {f"f{i}": rng.normal(size=rows).round(4) for i in range(case.features)}
    regions = [f"r{i}" for i in rng.integers(0, max(1, case.segments), rows)]
    labels = {"y_pred": (score > 0.5).astype(np.int64), "y_score": score}
    return pa.table(
        {**columns, "region": regions, **labels, "y": (rng.random(rows) < score).astype(np.int64)}
    )


def _fill(bench: Bench, case: Case, windows: int) -> None:
    log = MemoryLog("t", clock=bench.clock)
    step = HOUR // ROWS_PER_WINDOW
    for window in range(windows):
        table = _rows(case, ROWS_PER_WINDOW, window + 1).drop_columns(["y"]).to_pylist()
        at = START + window * HOUR
        lines = [
            orjson.dumps({"ts": (at + i * step) / SECOND, "event_id": f"{window}-{i}", **row})
            for i, row in enumerate(table)
        ]
        log.append(0, b"\n".join(lines), headers("m", "1"))
    source = MemorySource(log)
    worker = bench.worker(source)
    source.start(worker)
    for _ in range(3):
        bench.clock.advance(2 * HOUR)
        worker.turn()
    worker.finish()


def _bytes(database: Database, length: sa.ColumnElement[int]) -> float:
    with database.read() as connection:
        return float(connection.execute(sa.select(sa.func.sum(length))).scalar() or 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and write `benchmarks/results/capacity.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=24)
    chosen = parser.parse_args(arguments)
    print("features  segments  report   profile  sample   a day merged   (bytes; windows of 1,000 rows)")
    figures: dict[str, Cell] = {}
    for case in (Case(10, 0), Case(50, 0), Case(50, 4), Case(200, 0)):
        found = measure(case, chosen.windows)
        print(
            f"{case.features:8d}  {case.segments:8d}  {found.report:7.0f}  {found.profile:7.0f}"
            f"  {found.sample:7.0f}  {found.day:9.0f}"
        )
        name = f"{case.features}_features_{case.segments}_segments"
        figures |= {f"{name}_{kind}_bytes": round(size) for kind, size in vars(found).items()}
    write_results("capacity", figures)


if __name__ == "__main__":
    main()
