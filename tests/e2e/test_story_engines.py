"""A lake filled in by Ray and by Spark: the engines keep their contract, and the reports are those of one process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from mlhealth.baseline.files import save
from mlhealth.records import WindowReport
from mlhealth.report_json import from_data
from mlhealth.store.database import Database
from mlhealth.store.tables import reports
from tests.integration.test_backfill import table
from tests.servers.environments import ROOT, python_with
from tests.servers.ray_head import VERSION as RAY
from tests.servers.ray_head import has_namespaces
from tests.servers.registry import unavailable
from tests.servers.story import Story
from tests.servers.stream import START, loan_baseline

SPARK = "4.0.1"
PACKAGES = {"ray": f"ray[default]=={RAY}", "spark": f"pyspark=={SPARK}"}
ROWS = 20_000
FILES = 8
CONFIG = "store: sqlite:///{store}.db\nmodels: {{loans: {{window: 1h, segments: [region]}}}}\n"
SPACE = ("unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c")
"""A namespace with loopback only: Ray listens on every interface, and its end takes all processes along."""
RAY_HEAD = (
    "export RAY_TMPDIR={home}; for n in 1 2 3 4 5; do {ray} start --head --port=2647$n"
    " --node-ip-address=127.0.0.1 --include-dashboard=false --num-cpus=2 --dashboard-agent-listen-port=2648$n"
    " --disable-usage-stats --object-store-memory=150000000 >/dev/null && break; done"
)
"""A cluster that runs already; Ray gives up a start that takes its parts longer than 15 to 30 s: then once more."""
CLUSTER = {"ray": "auto"}


def ran(python: Path | str, *words: object, before: str = "", alone: bool = False) -> str:
    """Run a module with an interpreter, in a namespace of its own where `alone`, after `before`; return its stdout."""
    command = [str(python), "-m", *(str(word) for word in words)]
    if alone:
        command = [*SPACE, f'ip link set lo up; {before}; exec "$@"', "-", *command]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def written(store: Path) -> list[WindowReport]:
    """Return the reports of a store in order."""
    database = Database.open(f"sqlite:///{store}.db")
    query = sa.select(reports.c.report).where(reports.c.latest).order_by(reports.c.start, reports.c.segment)
    with database.read() as connection:
        found = [from_data(row.report) for row in connection.execute(query)]
    database.close()
    return found


def prepared(folder: Path, name: str) -> tuple[object, ...]:
    """Make a store of this name with the baseline; return the command that fills it from the lake."""
    config = folder / f"{name}.yaml"
    config.write_text(CONFIG.format(store=folder / name))
    ran(sys.executable, "mlhealth", "baseline", "push", folder / "baseline", "-c", config)
    return ("mlhealth", "backfill", folder / "lake", "--model", "loans", "--version", "1", "-c", config)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake of several files, a baseline, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("engines")
    (folder / "lake").mkdir()
    rows, size = table(ROWS), ROWS // FILES
    for n in range(FILES):
        pq.write_table(rows.slice(n * size, size), folder / "lake" / f"{n}.parquet", row_group_size=900)
    save(loan_baseline(), folder / "baseline")
    return folder


@pytest.mark.story
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PACKAGES)
def test_an_engine_fills_in_the_reports_of_one_process(
    name: str, lake: Path, pytestconfig: pytest.Config, story: Story
) -> None:
    """Two workers of a real engine: results once, failures told, and every window and segment number for number."""
    if not has_namespaces():
        unavailable(pytestconfig, name, "no network namespaces here (needs root)", required_in_ci=False)
    python = python_with(pytestconfig, name, [PACKAGES[name]], with_service=True)
    home = tempfile.mkdtemp(prefix="ray-")  # short: Ray makes Unix sockets in it
    before = RAY_HEAD.format(ray=python.with_name("ray"), home=home) if name == "ray" else "true"
    address = [CLUSTER[name]] if name in CLUSTER else []
    told = ran(python, "tests.e2e.engine_checks", name, *address, before=before, alone=True)
    assert told.strip().endswith("kept")
    story.step(f"{PACKAGES[name]}: each result once, in other processes, failures told")
    ran(sys.executable, *prepared(lake, f"local-{name}"))
    more = [word for one in address for word in ("--address", one)]
    ran(python, *prepared(lake, name), "--engine", name, "--workers", "2", *more, before=before, alone=True)
    shutil.rmtree(home, ignore_errors=True)
    alone, spread = written(lake / f"local-{name}"), written(lake / name)
    overall = [report for report in alone if not report.key.segment]
    assert len(overall) >= ROWS * 2 // 3_600
    assert overall[0].key.start == START
    assert spread == alone
    story.step(f"{ROWS:,} rows in {FILES} files: {len(spread)} reports, all equal to those of one process")
