"""Windows that slide and windows that count rows, made of panes by the real worker, on both stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from mlhealth.baseline.record import Baseline
from mlhealth.clock import HOUR, MINUTE, to_iso
from mlhealth.errors import ConfigError
from mlhealth.open_windows import check_lengths
from mlhealth.records import WindowReport
from mlhealth.report_json import from_data
from mlhealth.sources.base import WATERMARK_HEADER
from mlhealth.sources.memory import MemoryLog, MemorySource
from mlhealth.store.database import Database
from mlhealth.store.retention import Ages, retain
from mlhealth.store.rollup_tables import day_profiles
from mlhealth.store.tables import model_versions, partials, reports
from tests.servers.stream import HEADERS, START, WINDOW, Bench, loan_baseline, loan_events, run, small_config

SLIDING = {"window": "30m", "slide": "10m", "segments": []}
COUNT = {"window": "10m", "rows": 450, "longest": "1h", "segments": []}


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    """One small baseline for all tests here."""
    return loan_baseline()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty store of each kind."""
    sqlite = f"sqlite:///{tmp_path / 'store.db'}"
    opened = Database.open(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres"))
    yield opened
    opened.close()


def prepared(database: Database, baseline: Baseline, block: Mapping[str, object]) -> Bench:
    """Return a store whose models are treated so."""
    bench = Bench(database, baseline, small_config(**block))
    bench.prepare()
    return bench


def aside(tmp_path: Path, name: str, baseline: Baseline, block: Mapping[str, object]) -> Bench:
    """Return a store to compare with."""
    return prepared(Database.open(f"sqlite:///{tmp_path / name}.db"), baseline, block)


def log_of(bench: Bench, events: Sequence[bytes], end: int | None = None) -> MemoryLog:
    """Return a log of two partitions that holds the events, and a promise that nothing before `end` follows."""
    log = MemoryLog("t", 2, bench.clock)
    for i, event in enumerate(events):
        log.append(i % 2, event, HEADERS)
    if end is not None:
        promise(log, end)
    return log


def promise(log: MemoryLog, end: int) -> None:
    """Append to each partition that nothing before `end` follows."""
    for number in range(2):
        log.append(number, b"", [*HEADERS, (WATERMARK_HEADER, to_iso(end).encode())])


def worked(bench: Bench, log: MemoryLog, turns: int = 20, name: str = "worker") -> None:
    """Let a worker read the log."""
    source = MemorySource(log, poll_records=100)
    run(bench.worker(source, name), source, bench.clock, turns)


def told(bench: Bench) -> dict[tuple[int, int], WindowReport]:
    """Return the latest report of each window with rows, by its bounds."""
    query = sa.select(reports.c.report).where(reports.c.latest, reports.c.segment == "", reports.c.rows > 0)
    with bench.database.read() as connection:
        found = [from_data(row.report) for row in connection.execute(query)]
    return {(report.key.start, report.key.end): report for report in found}


def said(bench: Bench) -> dict[tuple[int, int], tuple[object, ...]]:
    """Return what each window's report says of its rows alone."""
    return {bounds: (r.rows, r.estimates, r.drift, r.quality) for bounds, r in told(bench).items()}


def rows_kept(bench: Bench) -> int:
    """Return how many partials the store holds."""
    with bench.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(partials)).scalar_one())


def test_sliding_windows_say_what_tumbling_ones_of_the_same_bounds_say(
    database: Database, baseline: Baseline, tmp_path: Path
) -> None:
    """Every third window of half an hour by ten minutes equals the tumbling one; partials go when all are final."""
    events, end = loan_events(1_300), START + 2 * HOUR
    sliding = prepared(database, baseline, SLIDING)
    worked(sliding, log_of(sliding, events, end))
    tumbling = aside(tmp_path, "tumbling", baseline, {"window": "30m", "segments": []})
    worked(tumbling, log_of(tumbling, events, end))
    found, whole = said(sliding), said(tumbling)
    assert {bounds for bounds in found if bounds[0] % (30 * MINUTE) == 0} == set(whole)
    assert {bounds: found[bounds] for bounds in whole} == whole
    assert len(found) == 7
    assert sum(r.rows for r in told(sliding).values()) == 3 * 1_300
    assert rows_kept(sliding) == 0
    tumbling.database.close()


@pytest.mark.parametrize("block", [SLIDING, COUNT], ids=["sliding", "count"])
def test_a_restart_changes_no_window(
    database: Database, baseline: Baseline, tmp_path: Path, block: Mapping[str, object]
) -> None:
    """A worker that dies between panes of a window leaves to the next one all that it needs."""
    events, end = loan_events(1_900), START + 4 * HOUR
    calm = aside(tmp_path, "calm", baseline, block)
    worked(calm, log_of(calm, events, end), 30)
    bench = prepared(database, baseline, block)
    log = MemoryLog("t", 2, bench.clock)
    for number, at in enumerate(range(0, 1_900, 400)):
        for i, event in enumerate(events[at : at + 400]):
            log.append(i % 2, event, HEADERS)
        worked(bench, log, 6, f"worker {number}")
    promise(log, end)
    worked(bench, log, 6, "last")
    assert said(bench) == said(calm)
    calm.database.close()


def test_late_rows_revise_every_sliding_window_that_has_their_pane(
    database: Database, baseline: Baseline
) -> None:
    """One late row changes three windows; the alerts are folded again from the first of them."""
    bench = prepared(database, baseline, SLIDING)
    log = log_of(bench, loan_events(1_300), START + 40 * MINUTE)
    worked(bench, log)
    before = told(bench)
    late = {**orjson.loads(loan_events(1, seed=9)[0]), "event_id": "late", "ts": to_iso(START + 35 * MINUTE)}
    log.append(0, orjson.dumps(late), HEADERS)
    promise(log, START + 3 * HOUR)
    bench.clock.advance(MINUTE)
    worked(bench, log, 8, "second")
    after = told(bench)
    changed = {bounds for bounds, r in after.items() if r.rows != before.get(bounds, r).rows}
    assert changed == {(START + m * MINUTE, START + (m + 30) * MINUTE) for m in (10,)}
    assert after[START + 10 * MINUTE, START + 40 * MINUTE].revision == 1
    assert sum(r.rows for r in after.values()) == 3 * 1_301


def test_count_windows_join_panes_until_they_have_their_rows(database: Database, baseline: Baseline) -> None:
    """At 300 rows a pane, 450 rows take two; the rest of the log waits until it is an hour old."""
    bench = prepared(database, baseline, COUNT)
    log = log_of(bench, loan_events(1_300), START + HOUR)
    worked(bench, log)
    bounds = [(0, 20), (20, 40)]
    assert list(told(bench)) == [(START + a * MINUTE, START + b * MINUTE) for a, b in bounds]
    assert rows_kept(bench) > 0
    promise(log, START + 3 * HOUR)
    worked(bench, log, 6, "second")
    assert list(told(bench))[-1] == (START + 40 * MINUTE, START + 100 * MINUTE)
    assert [r.rows for r in told(bench).values()] == [600, 600, 100]
    assert rows_kept(bench) == 0


def test_late_rows_move_no_bounds_of_a_count_window(database: Database, baseline: Baseline) -> None:
    """A window that was closed gets its late rows as a revision, however full it was."""
    bench = prepared(database, baseline, COUNT)
    log = log_of(bench, loan_events(700))
    worked(bench, log)
    late = [orjson.loads(event) for event in loan_events(40, seed=9, first=10_000)]
    for event in late:
        log.append(0, orjson.dumps({**event, "ts": to_iso(START + 15 * MINUTE)}), HEADERS)
    promise(log, START + 3 * HOUR)
    bench.clock.advance(MINUTE)
    worked(bench, log, 8, "second")
    assert [(r.key.start - START, r.rows) for r in told(bench).values()] == [(0, 640), (20 * MINUTE, 100)]


def test_panes_that_take_no_more_rows_are_built_again_too(
    database: Database, baseline: Baseline, tmp_path: Path
) -> None:
    """Unreadable profiles of panes whose window is still open are made anew from the log, not counted as late."""
    events, end = loan_events(1_900), START + 4 * HOUR
    bench = prepared(database, baseline, {**SLIDING, "window": "1h"})
    log = log_of(bench, events[:1_500])
    worked(bench, log)
    with bench.database.begin() as connection:
        final = connection.execute(sa.select(model_versions.c.final_end)).scalar_one()
        frozen = sa.select(sa.func.count()).where(partials.c.end <= final)
        assert connection.execute(frozen).scalar_one() > 0
        connection.execute(sa.update(partials).values(profile=b"older"))
    for i, event in enumerate(events[1_500:]):
        log.append(i % 2, event, HEADERS)
    promise(log, end)
    worked(bench, log, 40, "second")
    calm = aside(tmp_path, "calm", baseline, {**SLIDING, "window": "1h"})
    worked(calm, log_of(calm, events, end), 40)
    assert said(bench) == said(calm)
    calm.database.close()


def test_a_day_counts_each_row_of_sliding_windows_once(database: Database, baseline: Baseline) -> None:
    """Of windows that overlap, only those that follow one another are merged into days."""
    bench = prepared(database, baseline, SLIDING)
    worked(bench, log_of(bench, loan_events(1_300), START + 50 * HOUR))
    assert START % (30 * MINUTE) == 0
    retain(bench.database, lambda _: Ages(windows=1, tile=3 * WINDOW), START + 50 * HOUR)
    with bench.database.read() as connection:
        rows = connection.execute(sa.select(sa.func.sum(day_profiles.c.rows))).scalar()
    assert int(rows or 0) == 1_300


def test_open_windows_hold_a_configuration_to_their_length(database: Database, baseline: Baseline) -> None:
    """Another length is refused in one line while windows are open, and taken once their version is retired."""
    bench = prepared(database, baseline, {"window": "10m", "segments": []})
    worked(bench, log_of(bench, loan_events(400)))
    check_lengths(database, small_config(window="10m", segments=[]))
    check_lengths(database, small_config(window="30m", slide="10m", segments=[]))
    other = small_config(window="5m", segments=[])
    with pytest.raises(
        ConfigError, match="version 1 has open windows in steps of 10m, which cannot become 5m"
    ):
        check_lengths(database, other)
    with database.begin() as connection:
        connection.execute(sa.update(model_versions).values(state="retired"))
    check_lengths(database, other)


def test_lengths_may_change_when_all_windows_are_final(database: Database, baseline: Baseline) -> None:
    """Closed windows that take no more rows hold nobody to anything."""
    bench = prepared(database, baseline, {"window": "10m", "segments": []})
    worked(bench, log_of(bench, loan_events(400), START + 2 * HOUR))
    assert rows_kept(bench) == 0
    check_lengths(database, small_config(window="5m", segments=[]))
