"""The commands of a first hour: fit a baseline, look at it, estimate, back-test; and every mistake in one line."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from mlhealth.cli import main
from tests.loans import MODEL_YAML, loan_table


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with reference, production, schema and a fitted baseline."""
    folder = tmp_path_factory.mktemp("loans")
    pq.write_table(loan_table(2_000), folder / "ref.parquet")
    production = loan_table(2_500, seed=1).drop_columns(["y_true"])
    pq.write_table(production, folder / "prod.parquet")
    arrow_csv.write_csv(production, folder / "prod.csv")
    (folder / "model.yaml").write_text(MODEL_YAML)
    done = run(
        folder,
        "baseline",
        "fit",
        "ref.parquet",
        "--schema",
        "model.yaml",
        "--method",
        "cbpe",
        "--out",
        "base",
    )
    assert done.returncode == 0, done.stderr
    return folder


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def run(folder: Path, *arguments: str) -> Done:
    """Run mlhealth in `folder` as its console script does, within this process."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        contextlib.chdir(folder),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "argv", ["mlhealth", *arguments])
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def test_a_process_of_its_own_behaves_the_same(place: Path) -> None:
    """Started as a program, a mistake ends with exit code 2 and one line on standard error."""
    command = [sys.executable, "-c", "from mlhealth.cli import main; main()", "estimate", "gone.csv"]
    rest = ["--baseline", "base", "--window-rows", "9"]
    done = subprocess.run(
        [*command, *rest], cwd=place, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: gone.csv: there is no such file\n"


def test_estimate_prints_one_object_per_window_and_nothing_else(place: Path) -> None:
    """Standard output is JSON lines, with rows, times and the promised parts."""
    done = run(
        place, "estimate", "prod.parquet", "--baseline", "base", "--window-rows", "1000", "--format", "json"
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(w["window"], w["rows"]) for w in found] == [(0, 1000), (1, 1000), (2, 500)]
    assert found[0]["start"] == "2026-01-01T00:00:00Z"
    for window in found:
        estimate = window["estimates"]["accuracy"]
        assert estimate["lower"] <= estimate["value"] <= estimate["upper"]
        assert window["health"]["status"] in {"healthy", "degraded", "critical", "unknown"}
        assert set(window["drift"]) >= {"income", "debt", "region", "owner"}


def test_csv_and_parquet_give_the_same_numbers(place: Path) -> None:
    """The same rows give the same output, whatever file holds them."""
    rest = ("--baseline", "base", "--window", "12h", "--format", "json")
    assert (
        run(place, "estimate", "prod.csv", *rest).stdout
        == run(place, "estimate", "prod.parquet", *rest).stdout
    )


def test_files_without_times_are_numbered_by_row(place: Path) -> None:
    """Without a timestamp column, start and end are row numbers."""
    table = pq.read_table(place / "prod.parquet").drop_columns(["ts"])
    pq.write_table(table, place / "untimed.parquet")
    done = run(
        place,
        "estimate",
        "untimed.parquet",
        "--baseline",
        "base",
        "--window-rows",
        "2000",
        "--format",
        "json",
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(w["start"], w["end"]) for w in found] == [(0, 1999), (2000, 2499)]


def test_people_get_tables(place: Path) -> None:
    """Without --format there is a table with a row per window; `show` tells metrics, mode and hash."""
    done = run(place, "estimate", "prod.parquet", "--baseline", "base", "--window", "1d")
    assert done.returncode == 0, done.stderr
    assert "2026-01-01 00:00" in done.stdout
    shown = run(place, "baseline", "show", "base")
    assert shown.returncode == 0, shown.stderr
    for word in ("roc_auc", "reference only", "income", "primary", "cbpe"):
        assert word in shown.stdout


def test_show_tells_what_a_budget_costs_at_the_users_own_traffic(place: Path) -> None:
    """Larger losses page sooner, the smallest not at all; budget, window and rows are those that were asked for."""
    asked = ("--window", "1d", "--rows", "2000", "--false-alarms", "1 per 30d")
    shown = " ".join(run(place, "baseline", "show", "base", *asked).stdout.split())
    assert "1 per 30d: at most one false page in 30 windows of 1d and 2,000 rows" in shown
    found = re.findall(r"([0-9.]+) points │ (?:(\d+) windows|not within)", shown)
    assert [float(loss) for loss, _ in found] == [15.0, 10.0, 7.0, 5.0, 3.0, 2.0]
    times = [int(windows) if windows else 1_000 for _, windows in found]
    assert times == sorted(times)
    assert times[0] < 10
    assert times[-1] == 1_000


def test_backtest_tells_alarms_and_truth(place: Path) -> None:
    """The reference itself, replayed, is compared with its labels."""
    done = run(
        place, "backtest", "ref.parquet", "--baseline", "base", "--window-rows", "500", "--format", "json"
    )
    assert done.returncode == 0, done.stderr
    *windows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(windows) == 4
    assert last["summary"]["truth"]["windows"] == 4
    assert "mean absolute error" in run(place, "backtest", "ref.parquet", "--baseline", "base").stdout


def test_a_scorer_is_checked_at_the_fit(place: Path) -> None:
    """A scorer that answers like another model is refused in one line."""
    (place / "wrong.py").write_text(
        "def f(x):\n    return x.assign(y_pred=1, y_score=0.9)[['y_pred', 'y_score']]\n"
    )
    done = run(
        place,
        "baseline",
        "fit",
        "ref.parquet",
        "--schema",
        "model.yaml",
        "--scorer",
        "wrong.py:f",
        "--out",
        "other",
    )
    assert done.returncode == 2
    assert "the scorer reproduces only" in done.stderr


def test_an_altered_baseline_is_refused(place: Path, tmp_path: Path) -> None:
    """A changed file of the baseline is named."""
    shutil.copytree(place / "base", tmp_path / "base")
    (tmp_path / "base" / "layout.json").write_text("{}")
    done = run(
        place, "estimate", "prod.parquet", "--baseline", str(tmp_path / "base"), "--window-rows", "500"
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "layout.json was changed or damaged" in done.stderr


FIT = ("--schema", "model.yaml", "--out", "never")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("baseline", "fit", "gone.parquet", *FIT), "gone.parquet: there is no such file"),
        (("baseline", "fit", "empty.csv", *FIT), "empty.csv: the file is empty"),
        (("baseline", "fit", "small.parquet", *FIT), "small.parquet: has 499 usable rows"),
        (("baseline", "fit", "prod.parquet", *FIT), "model.yaml: key 'columns.label' names column 'y_true'"),
        (
            ("baseline", "fit", "ref.parquet", "--schema", "bad.yaml", "--out", "never"),
            "bad.yaml:4: columns.predicton",
        ),
        (
            ("baseline", "fit", "ref.parquet", "--schema", "gone.yaml", "--out", "never"),
            "gone.yaml: cannot be read",
        ),
        (
            ("estimate", "nopred.csv", "--baseline", "base", "--window-rows", "9"),
            "nopred.csv: there is no column 'y_pred'",
        ),
        (
            ("estimate", "prod.csv", "--baseline", "nowhere", "--window-rows", "9"),
            "nowhere: there is no such folder",
        ),
        (("estimate", "prod.csv", "--baseline", "base"), "give one of --window-rows N and --window DURATION"),
        (("estimate", "prod.csv", "--baseline", "base", "--window", "1x"), "duration '1x' is not understood"),
        (("backtest", "prod.csv", "--baseline", "base", "--rules", "bad.yaml"), "bad.yaml:1"),
        (("baseline", "show", "base", "--false-alarms", "often"), "false alarms: 'often' is no budget"),
    ],
)
def test_a_mistake_is_one_clear_line(place: Path, arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2, nothing on standard output, one line on standard error that names file and key, no traceback."""
    (place / "empty.csv").write_text("")
    pq.write_table(loan_table(499), place / "small.parquet")
    arrow_csv.write_csv(pa.table({"income": [1.0], "y_score": [0.5]}), place / "nopred.csv")
    (place / "bad.yaml").write_text("model: m\n# misspelt\ncolumns:\n  predicton: y_pred\n")
    done = run(place, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert told in done.stderr
    assert not (place / "never").exists()


def test_check_passes_a_calm_batch_and_fails_a_broken_one_with_junit(place: Path) -> None:
    """A batch like the reference ends with 0; one whose income is 100 times too large with 1, and JUnit says why."""
    calm = run(place, "check", "prod.parquet", "--baseline", "base", "--junit", "out/calm.xml")
    assert (calm.returncode, calm.stdout.splitlines()[-1][:7]) == (0, "passed:"), calm.stdout
    table = pq.read_table(place / "prod.parquet")
    at = table.column_names.index("income")
    pq.write_table(
        table.set_column(at, "income", pc.multiply(table["income"], 100.0)), place / "broken.parquet"
    )
    broken = run(place, "check", "broken.parquet", "--baseline", "base", "--junit", "out/broken.xml")
    assert broken.returncode == 1, broken.stdout
    assert "income" in broken.stdout
    suites = ET.parse(place / "out" / "broken.xml").getroot()
    assert int(suites.attrib["failures"]) >= 1
    told = [failure.attrib["message"] for failure in suites.iter("failure")]
    assert any("income" in text for text in told)
    assert [*ET.parse(place / "out" / "calm.xml").getroot().iter("failure")] == []


def test_check_takes_rules_and_windows(place: Path) -> None:
    """Rules of one's own decide, window by window; a warning is told and fails nothing; a mistake ends with 2."""
    rules = "rules:\n  - {alert: Few, when: rows < 900, severity: %s}\n"
    (place / "hard.yaml").write_text(rules % "critical")
    (place / "soft.yaml").write_text(rules % "warning")
    arguments = ("check", "prod.parquet", "--baseline", "base", "--window-rows", "1000")
    hard, soft = (run(place, *arguments, "--rules", name) for name in ("hard.yaml", "soft.yaml"))
    assert (hard.returncode, soft.returncode) == (1, 0)
    assert "3 checks on 3 windows, 1 failed" in hard.stdout
    assert "0 failed, 1 warnings" in soft.stdout
    assert run(place, *arguments, "--rules", "gone.yaml").returncode == 2
