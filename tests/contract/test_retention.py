"""Retention and schema steps on both stores: nothing is lost that should stay, and what is left says the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from mlhealth.clock import DAY, HOUR, ManualClock
from mlhealth.config.service import Config
from mlhealth.housekeeping import ages_of, keep_house
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.sources.memory import MemoryLog, MemorySource
from mlhealth.store import schema
from mlhealth.store.database import Database
from mlhealth.store.months import keep_months
from mlhealth.store.retention import Ages, Retained, retain
from mlhealth.store.rollup_tables import day_profiles
from mlhealth.store.tables import reports, window_profiles
from tests.servers.stream import HEADERS, START, Bench, loan_baseline, loan_events, run, small_config

NOW = START + 400 * DAY


@dataclass
class Filled:
    """A store with three days of windows, final and closed."""

    bench: Bench

    @property
    def database(self) -> Database:
        return self.bench.database

    def count(self, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
        """Return the number of rows."""
        query = sa.select(sa.func.count()).select_from(table).where(*where)
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def merged(self, table: sa.Table) -> WindowProfile:
        """Return the overall profiles of a table merged into one, without a sample."""
        total = WindowProfile.empty(self.bench.baseline.layout)
        with self.database.read() as connection:
            blobs = connection.execute(sa.select(table.c.profile).where(table.c.segment == "")).scalars()
            for blob in blobs:
                total = total.merge(WindowProfile.from_bytes(blob, self.bench.baseline.layout))
        return total


@pytest.fixture(params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Filled]:
    """Windows of three days, made by a worker."""
    sqlite = f"sqlite:///{tmp_path / 'store.db'}"
    database = Database.open(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres"))
    bench = Bench(database, loan_baseline(), small_config(window="12h", segments=[]), clock=ManualClock(NOW))
    bench.prepare()
    log = MemoryLog("t", clock=bench.clock)
    for event in loan_events(600, seconds=3 * 86_400 / 600):
        log.append(0, event, HEADERS)
    source = MemorySource(log)
    worker = bench.worker(source)
    run(worker, source, bench.clock, 3)
    bench.clock.advance(HOUR)
    worker.turn()
    worker.finish()
    yield Filled(bench)
    database.close()


def test_old_windows_live_on_as_days(filled: Filled) -> None:
    """The days hold exactly what the windows held; doing it again, or for windows of the same day later, adds up."""
    before = filled.merged(window_profiles)
    windows = filled.count(window_profiles, window_profiles.c.segment == "")
    half = retain(filled.database, lambda _: Ages(windows=2 * DAY), NOW)
    assert half.merged > 0
    assert filled.count(window_profiles, window_profiles.c.segment == "") > 0
    retain(filled.database, lambda _: Ages(windows=1), NOW)
    after, left = filled.merged(day_profiles), filled.merged(window_profiles)
    total = after.merge(left)
    assert (total.rows, before.rows) == (600, 600)
    assert np.array_equal(total.counts, before.counts)
    days = filled.count(day_profiles, day_profiles.c.segment == "")
    assert 0 < days <= 3 < windows
    assert retain(filled.database, lambda _: Ages(windows=1), NOW) == Retained()
    assert filled.count(reports) > 0


def test_what_is_too_old_is_let_go(filled: Filled) -> None:
    """Samples, reports and days end at their ages, counted from the event time that the model has reached."""
    assert retain(filled.database, lambda _: Ages(samples=30 * DAY, reports=30 * DAY), NOW) == Retained()
    gone = retain(filled.database, lambda _: Ages(samples=DAY, reports=2 * DAY), NOW)
    assert gone.samples > 0
    assert gone.reports > 0
    assert filled.count(reports, reports.c.end <= START + DAY) == 0
    assert filled.count(reports) > 0
    assert filled.count(window_profiles, window_profiles.c.sample.is_not(None)) > 0
    retain(filled.database, lambda _: Ages(windows=1), NOW)
    assert retain(filled.database, lambda _: Ages(days=1), NOW).days > 0


def test_months_are_partitions_of_their_own(filled: Filled) -> None:
    """On PostgreSQL each month of event time gets its partition, with its rows moved; emptied ones are dropped."""
    if filled.database.is_sqlite:
        pytest.skip("SQLite has no partitions")
    rows = filled.count(reports)
    with filled.database.begin() as connection:
        made = keep_months(connection, NOW)
    month = datetime.fromtimestamp(START / 1e6, UTC).strftime("%Y%m")
    assert f"reports_m{month}" in made
    with filled.database.read() as connection:
        moved = connection.execute(sa.text(f"SELECT count(*) FROM reports_m{month}")).scalar()
        rest = connection.execute(sa.text("SELECT count(*) FROM reports_rest")).scalar()
    assert (moved, rest, filled.count(reports)) == (rows, 0, rows)
    retain(filled.database, lambda _: Ages(reports=1), NOW + 400 * DAY)
    with filled.database.begin() as connection:
        connection.execute(sa.delete(reports))
        keep_months(connection, NOW)
        gone = connection.execute(
            sa.text("SELECT to_regclass(:name)"), {"name": f"reports_m{month}"}
        ).scalar()
    assert gone is None


def test_samples_outlive_the_labels_that_may_come() -> None:
    """However short retention is, what late labels join is kept for their horizon."""
    config = Config.model_validate({"retention": {"samples": "1d", "windows": "2d"}})
    assert ages_of(config, "any") == Ages(28 * DAY, 28 * DAY, None, None, 30 * DAY)


def test_housekeeping_is_safe_to_repeat(filled: Filled) -> None:
    """Everything that the service does each hour can be done again at once."""
    config = Config.model_validate({"retention": {"windows": "1d", "samples": "1d"}, "models": {
        "loans": {"labels": {"horizon": "1d"}}}})  # fmt: skip
    assert keep_house(filled.database, config, NOW).merged > 0
    assert keep_house(filled.database, config, NOW) == Retained()


def test_every_schema_step_keeps_the_data(filled: Filled) -> None:
    """Down to the first schema step by step and up again, the windows' reports are still there."""
    rows = filled.count(reports)
    for step in schema.KNOWN[1:]:
        schema.downgrade(filled.database, step)
        with filled.database.read() as connection:
            assert schema.current(connection) == step
            assert connection.execute(sa.select(sa.func.count()).select_from(reports)).scalar() == rows
    assert schema.upgrade(filled.database) == (schema.KNOWN[-1], schema.NEWEST)
    assert filled.count(reports) == rows
    schema.ensure(filled.database)


def test_reports_read_the_same_before_and_after_a_step_back(filled: Filled) -> None:
    """A store taken back to plain reports holds them as text, and the newest version reads them all the same."""
    query = sa.select(reports.c.report).order_by(*reports.primary_key.columns)
    with filled.database.read() as connection:
        before = connection.execute(query).scalars().all()
    schema.downgrade(filled.database, "0008")
    with filled.database.read() as connection:
        if filled.database.is_sqlite:
            kinds = connection.execute(sa.text("SELECT DISTINCT typeof(report) FROM reports")).scalars().all()
            assert kinds == ["text"]
        assert connection.execute(query).scalars().all() == before
    schema.upgrade(filled.database)
