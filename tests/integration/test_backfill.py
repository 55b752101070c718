"""Backfilling a table: the live path's reports, whatever the table's format, its pieces and the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from mlhealth.backfill.engines.base import Engine
from mlhealth.backfill.engines.registry import engine
from mlhealth.backfill.profiling import Profiler, Recipe
from mlhealth.backfill.run import Backfill, Place
from mlhealth.backfill.stretches import stretches
from mlhealth.backfill.tables.opening import kind_at, open_pieces
from mlhealth.baseline.record import Baseline
from mlhealth.clock import HOUR, MINUTE, SECOND
from mlhealth.config.models import ModelConfig
from mlhealth.errors import ConfigError, DataError
from mlhealth.sources.memory import MemoryLog, MemorySource
from mlhealth.store.alert_tables import alert_transitions, outbox
from mlhealth.store.database import Database
from mlhealth.store.forgetting import forget
from mlhealth.store.tables import partials
from mlhealth.worker.judging import Question
from tests.servers.stream import (
    HEADERS,
    START,
    Bench,
    counts,
    latest,
    loan_events,
    loan_rows,
    rows,
    run,
    same_verdicts,
)

ROWS = 3_000
NAME = ("loans", "1")


def table(count: int = ROWS, seed: int = 1) -> pa.Table:
    """Return the rows of `loan_events` as a table."""
    times = START + 2 * SECOND * np.arange(count)
    found = loan_rows(count, seed).drop_columns(["y_true"])
    ids = pa.array([f"e{i}" for i in range(count)])
    return found.append_column("ts", pa.array(times, type=pa.timestamp("us", tz="UTC"))).append_column(
        "event_id", ids
    )


Prepare = Callable[[str], Bench]


@pytest.fixture
def prepare(tmp_path: Path, baseline: Baseline) -> Iterator[Prepare]:
    """Makes prepared stores, by the name of an SQLite file or by URL, and closes them."""
    made: list[Bench] = []

    def one(name: str) -> Bench:
        url = name if ":" in name else f"sqlite:///{tmp_path / name}.db"
        made.append(Bench(Database.open(url), baseline))
        made[-1].prepare()
        return made[-1]

    yield one
    for bench in made:
        bench.database.close()


def live(found: Bench) -> None:
    """Let a worker read the rows as events."""
    log = MemoryLog("t", 2, found.clock)
    for i, event in enumerate(loan_events(ROWS)):
        log.append(i % 2, event, HEADERS)
    source = MemorySource(log, poll_records=500)
    worker = found.worker(source)
    run(worker, source, found.clock, 10)
    for _ in range(4):
        found.clock.advance(HOUR // 2)
        worker.turn()


def filled(into: Bench, location: str, how: Engine | None = None) -> Backfill:
    """Backfill a table and return what did it."""
    place = Place(into.database, into.config, into.rules, into.clock)
    work = Backfill(open_pieces(location), NAME, place)
    with how or engine("local") as started:
        work.run(started)
    return work


def parquet(folder: Path) -> str:
    """Write the rows as a folder of Parquet files, one a shuffled one, in row groups that cut windows."""
    rng, rows = np.random.default_rng(0), table()
    target = folder / "parquet"
    target.mkdir()
    for i, part in enumerate(np.array_split(np.arange(ROWS), 5)):
        order = rng.permutation(part) if i == 2 else part
        pq.write_table(rows.take(order), target / f"part-{i}.parquet", row_group_size=170)
    return str(target)


def delta(folder: Path) -> str:
    """Write the rows as a Delta table partitioned by region, some rows of a first version overwritten."""
    deltalake = pytest.importorskip("deltalake")
    target = str(folder / "delta")
    deltalake.write_deltalake(target, table(50, seed=9))
    deltalake.write_deltalake(
        target, table(), mode="overwrite", partition_by=["region"], schema_mode="overwrite"
    )
    return target


def iceberg(folder: Path) -> str:
    """Write the rows as an Iceberg table in two appends, with a column renamed and rows deleted in between."""
    catalogs = pytest.importorskip("pyiceberg.catalog.sql")
    (folder / "iceberg").mkdir()
    catalog = catalogs.SqlCatalog(
        "c", uri=f"sqlite:///{folder}/iceberg/c.db", warehouse=f"file://{folder}/iceberg"
    )
    catalog.create_namespace("n")
    rows = table().rename_columns(["amount", "region", "y_pred", "y_score", "when", "event_id"])
    made = catalog.create_table("n.logs", schema=rows.schema)
    made.append(rows.slice(0, 1_000))
    made.append(
        table(50, seed=9).rename_columns(rows.column_names).set_column(5, "event_id", pa.array(["x"] * 50))
    )
    made.delete("event_id = 'x'")
    with made.update_schema() as change:
        change.rename_column("when", "ts")
    made.append(table().slice(1_000).select(["amount", "region", "y_pred", "y_score", "ts", "event_id"]))
    catalog.close()
    return str(folder / "iceberg" / "n" / "logs")


@pytest.mark.parametrize("written", [parquet, delta, iceberg])
def test_a_table_gives_the_live_paths_reports(
    written: Callable[[Path], str], tmp_path: Path, prepare: Prepare
) -> None:
    """Counts, samples, estimates, scores and budgets of every window and segment are equal, number for number."""
    seen = prepare("live")
    live(seen)
    past = prepare("past")
    filled(past, written(tmp_path))
    told = latest(past.database)
    same_verdicts(told, {key: report for key, report in latest(seen.database).items() if key in told})
    assert len({start for _, start in told}) == ROWS * 2 * SECOND // (10 * MINUTE)
    assert counts(past.database) == {"accepted": ROWS}
    assert rows(past.database, sa.select(partials)) == []


@pytest.mark.parametrize("name", ["local", "dask"])
def test_workers_change_nothing(name: str, tmp_path: Path, prepare: Prepare, postgres: str) -> None:
    """Two processes of either engine, over PostgreSQL, give what one gives over SQLite."""
    if name == "dask":
        pytest.importorskip("distributed")
    location = parquet(tmp_path)
    one = prepare("one")
    filled(one, location)
    two = prepare(postgres)
    filled(two, location, engine(name, workers=2))
    same_verdicts(latest(two.database), latest(one.database))


def forget_all(database: Database) -> None:
    """Forget every event of the table."""
    with database.begin() as connection:
        forget(connection, "loans", [f"e{i}" for i in range(ROWS)], ("ana", 0))


class Killed(BaseException):
    """Stands for the end of a process."""


class Short(Engine):
    """An engine that dies after some stretches."""

    name = "short"

    def __init__(self, alive: int) -> None:
        super().__init__()
        self.alive = alive

    def start(self) -> None:
        """Nothing to start."""

    def run(self, task, items):  # type: ignore[no-untyped-def]  # generic in the base class
        """Yield results until the end."""
        for number, item in enumerate(items):
            if number == self.alive:
                raise Killed
            yield number, task(item)

    def stop(self) -> None:
        """Nothing to stop."""


def test_a_killed_backfill_goes_on_where_it_stood(
    tmp_path: Path, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was checkpointed is not read again, the reports are those of an undisturbed run, and a third run is idle."""
    monkeypatch.setattr("mlhealth.backfill.run.STRETCH_ROWS", 700)
    location = parquet(tmp_path)
    calm = prepare("calm")
    filled(calm, location)
    hurt = prepare("hurt")
    with pytest.raises(Killed):
        filled(hurt, location, Short(2))
    assert latest(hurt.database) == {}
    second = filled(hurt, location).summary
    assert (second.skipped, second.outcomes["accepted"]) == (2, ROWS - 1_200)
    same_verdicts(latest(hurt.database), latest(calm.database))
    third = filled(hurt, location).summary
    assert (third.skipped, third.reports) == (third.stretches, [])


class Listening(Engine):
    """One process, which notes what it was asked to do; `before` is called ahead of each task."""

    name = "listening"

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.asked: list[object] = []
        self.before = before

    def start(self) -> None:
        """Nothing to start."""

    def run(self, task, items):  # type: ignore[no-untyped-def]  # generic in the base class
        """Yield results in the opposite order, as workers may."""
        for number, item in reversed(list(enumerate(items))):
            self.before()
            self.asked.append(item)
            yield number, task(item)

    def stop(self) -> None:
        """Nothing to stop."""


def test_windows_are_judged_by_the_engine(
    tmp_path: Path, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each window is judged once, by a worker and never by the command, a few in memory; in any order all is equal."""
    location = parquet(tmp_path)
    calm = prepare("calm")
    filled(calm, location)
    monkeypatch.setattr("mlhealth.backfill.judging.AHEAD_BYTES", 60_000)
    monkeypatch.setattr("mlhealth.worker.judging.judge", None)
    heard, spread = Listening(), prepare("spread")
    filled(spread, location, heard)
    same_verdicts(latest(spread.database), latest(calm.database))
    judged = [asked.due for asked in heard.asked if isinstance(asked, Question)]
    assert sorted(due.start for due in judged) == sorted({start for _, start in latest(calm.database)})
    assert judged != sorted(judged, key=lambda due: -due.start)


def test_what_the_store_says_at_the_end_counts(tmp_path: Path, prepare: Prepare) -> None:
    """Events forgotten after their window was judged, or while it is, and before it closes: it is judged again."""
    past = prepare("past")
    heard = Listening(lambda: forget_all(past.database) if heard.asked else None)
    filled(past, parquet(tmp_path), heard)
    told = latest(past.database)
    assert {report.estimates["accuracy"].value for report in told.values()} == {None}
    assert sum(report.rows for (segment, _), report in told.items() if not segment) == ROWS


def test_a_models_live_scorer_is_asked_by_the_command(tmp_path: Path, prepare: Prepare) -> None:
    """Workers of a cluster may not reach it, so windows are judged here; only stretches go to the engine."""
    past, heard = prepare("past"), Listening()
    model = past.config.model("loans").model_copy(update={"scorer": "https://scorer.invalid"})
    past.config = past.config.model_copy(update={"models": {"loans": model}})
    filled(past, parquet(tmp_path), heard)
    assert latest(past.database)
    assert not [asked for asked in heard.asked if isinstance(asked, Question)]


def test_a_task_is_short_to_look_at() -> None:
    """Schedulers name tasks by their text, which must not hold a whole baseline."""
    text = repr(Profiler(Recipe(b"x" * 1_000_000, ModelConfig(), "t")))
    assert len(text) < 10_000


def test_the_past_pages_nobody(tmp_path: Path, prepare: Prepare) -> None:
    """A rule that fires in the past is in the history of alerts, and in no receiver's outbox."""
    from mlhealth.alerts.rules import parse_rules

    past = prepare("past")
    past.rules = parse_rules("rules:\n  - {alert: Any, when: rows > 0, notify: [oncall], retrain: gpu}\n")
    filled(past, parquet(tmp_path))
    assert len(rows(past.database, sa.select(alert_transitions))) > 0
    assert rows(past.database, sa.select(outbox)) == []


def test_rows_of_closed_windows_are_counted_and_left_out(tmp_path: Path, prepare: Prepare) -> None:
    """Other files about a time that is closed change no report, and the summary says how many rows that were."""
    past = prepare("past")
    filled(past, parquet(tmp_path))
    before = latest(past.database)
    pq.write_table(table(500, seed=4), tmp_path / "more.parquet")
    summary = filled(past, str(tmp_path / "more.parquet")).summary
    assert summary.outcomes == {"accepted": 0, "rejected": 0, "late": 500}
    assert latest(past.database) == before


def test_bad_tables_are_one_clear_line(tmp_path: Path, prepare: Prepare) -> None:
    """No file, no rows, a file that is no table, a version without a baseline: each says what is wrong where."""
    with pytest.raises(DataError, match="nowhere: cannot be read as parquet"):
        open_pieces(str(tmp_path / "nowhere"))
    pq.write_table(table(0), tmp_path / "empty.parquet")
    with pytest.raises(DataError, match=r"empty\.parquet: there are no rows"):
        open_pieces(str(tmp_path / "empty.parquet"))
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(DataError, match=r"text\.parquet: cannot be read as parquet"):
        open_pieces(str(tmp_path / "text.parquet"))
    past = prepare("past")
    with pytest.raises(ConfigError, match="no baseline speaks for model loans version 9"):
        Backfill([], ("loans", "9"), Place(past.database, past.config, past.rules, past.clock))


def test_rows_that_cannot_be_used_are_counted_by_reason(tmp_path: Path, prepare: Prepare) -> None:
    """A score outside 0 to 1 and a time of 1970 cost their rows and nothing else."""
    found = table(600)
    scores = found.column("y_score").to_numpy().copy()
    scores[7] = 3.0
    times = found.column("ts").to_numpy().astype("datetime64[us]").copy()
    times[8] = np.datetime64(5, "us")
    broken = found.set_column(3, "y_score", pa.array(scores)).set_column(
        4, "ts", pa.array(times, type=pa.timestamp("us", tz="UTC"))
    )
    pq.write_table(broken, tmp_path / "broken.parquet")
    past = prepare("past")
    summary = filled(past, str(tmp_path / "broken.parquet")).summary
    assert summary.outcomes == {"accepted": 598, "rejected": 2, "late": 0}
    assert sorted(summary.reasons) == [
        "the event time lies before 1990; is it in another unit?",
        "y_score: the score is outside 0 to 1",
    ]


def test_the_kind_of_table_is_seen(tmp_path: Path) -> None:
    """Folders tell their format; a plain folder is Parquet."""
    assert kind_at(parquet(tmp_path)) == "parquet"
    assert kind_at(delta(tmp_path)) == "delta"
    assert kind_at(iceberg(tmp_path)) == "iceberg"


def test_stretches_hold_consecutive_pieces(tmp_path: Path) -> None:
    """All rows are in some stretch once, in order, none larger than asked unless it is a single piece."""
    pieces = open_pieces(parquet(tmp_path))
    for most in (1, 500, 10_000):
        work = stretches(pieces, most)
        assert tuple(piece for stretch in work for piece in stretch.pieces) == pieces
        assert all(stretch.rows <= most or len(stretch.pieces) == 1 for stretch in work)
