"""`mlhealth label` and `models review` from the command line, over a store that a worker has filled."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pytest
from typer.testing import CliRunner, Result

from mlhealth.cli import app
from mlhealth.clock import to_iso
from mlhealth.errors import MlhealthError
from mlhealth.store.database import Database
from tests.integration.test_late_labels import PER_WINDOW, Desk, truth
from tests.servers.stream import START, WINDOW, Bench, loan_baseline, loan_events

ROWS = 3_000


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A worker that has closed nine windows, in a folder with its configuration."""
    monkeypatch.chdir(tmp_path)
    Path("mlhealth.yaml").write_text(f"store: sqlite:///{tmp_path}/store.db\n")
    bench = Bench(Database.open(f"sqlite:///{tmp_path}/store.db"), loan_baseline())
    bench.prepare()
    desk = Desk(bench)
    desk.send(loan_events(ROWS))
    return desk


def call(*arguments: str) -> Result:
    """Run the command line."""
    return CliRunner().invoke(app, list(arguments), catch_exceptions=True)


def refusal(*arguments: str) -> str:
    """Return the one line that a user's mistake gets."""
    found = call(*arguments)
    assert isinstance(found.exception, MlhealthError)
    return str(found.exception)


def test_labels_are_suggested_added_and_reviewed(desk: Desk) -> None:
    """A draw is filled in and handed back; a second one holds other rows; the review tells of all windows."""
    start = to_iso(START + WINDOW)
    true = truth(ROWS)
    told = call(
        "label", "suggest", "--model", "loans", "--window", start, "--half-width", "0.06", "--out", "a.csv"
    )
    assert told.exit_code == 0
    assert "accuracy will be known to about" in told.output
    table = arrow_csv.read_csv("a.csv")
    assert 20 <= table.num_rows < PER_WINDOW
    names = table.column("event_id").to_pylist()
    answers = pa.array([true[int(name.removeprefix("e"))] for name in names])
    arrow_csv.write_csv(table.set_column(table.num_columns - 1, "y_true", answers), "a.csv")
    assert "of them new or changed" in call("label", "add", "a.csv", "--model", "loans").output
    call("label", "suggest", "--model", "loans", "--window", start, "--count", "80", "--out", "b.csv")
    assert not set(arrow_csv.read_csv("b.csv").column("event_id").to_pylist()) & set(names)
    desk.send([])
    report = desk.latest()[1]
    assert report.labels is not None
    assert report.labels.labelled == len(names)
    assert "1 windows have labels; from 8 on" in call("models", "review", "loans").output

    rows = pa.table({"event_id": [f"e{i}" for i in range(ROWS)], "label": true})
    arrow_csv.write_csv(rows, "all.csv")
    added = call("label", "add", "all.csv", "--model", "loans", "--version", "1")
    assert added.output.startswith("3000 labels of loans, 3000 of them new or changed")
    desk.send([])
    assert "the estimates have held: nothing to do" in call("models", "review", "loans").output

    flipped = rows.set_column(1, "label", pa.array([1 - value for value in true]))
    arrow_csv.write_csv(flipped, "flipped.csv")
    call("label", "add", "flipped.csv", "--model", "loans", "--version", "1")
    desk.send([])
    told = call("models", "review", "loans")
    assert "accuracy was estimated" in told.output
    assert "recalibrate: fit a baseline on recent labelled rows" in told.output


def test_mistakes_are_told_in_one_line(desk: Desk) -> None:
    """A window, model, metric, count or file that cannot be is refused with what to do instead."""
    del desk
    start = to_iso(START)
    suggest = ("label", "suggest", "--model", "loans", "--window", start, "--out", "a.csv")
    assert "give one of --count" in refusal(*suggest)
    assert "ask for 1 to 300" in refusal(*suggest, "--count", "301")
    assert "metric" in refusal(*suggest, "--half-width", "0.02", "--metric", "nonsense")
    assert "roc_auc" in refusal(*suggest, "--count", "30", "--metric", "average_precision")
    assert "models list" in refusal(
        "label", "suggest", "--model", "x", "--window", start, "--count", "9", "--out", "a.csv"
    )
    other = ("label", "suggest", "--model", "loans", "--window", "2001-01-01T00:00:00Z", "--count", "9")
    assert "no closed window" in refusal(*other, "--out", "a.csv")
    assert ".parquet" in refusal(*other, "--out", "a.xlsx")
    assert "no such file" in refusal("label", "add", "nothing.csv", "--model", "loans")
    assert "not known" in refusal("models", "review", "nobody")
