"""What the worker mends by itself: unreadable profiles, baselines that come late, several sources, skewed clocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from mlhealth.baseline import files
from mlhealth.baseline.record import Baseline
from mlhealth.clock import HOUR, MINUTE, SECOND, to_iso
from mlhealth.errors import ConfigError, SourceUnavailable
from mlhealth.events.messages import Partition
from mlhealth.metrics import Metrics
from mlhealth.sources.base import WATERMARK_HEADER, DeadLetter
from mlhealth.sources.memory import MemoryLog, MemorySource
from mlhealth.sources.several import SeveralSources
from mlhealth.store import baselines, schema
from mlhealth.store.database import Database
from mlhealth.store.event_ids import IdPlace
from mlhealth.store.tables import partials, reports
from mlhealth.worker.duplicates import EventIds
from mlhealth.worker.loop import Pace
from mlhealth.worker.telling import set_aside
from tests.servers.stream import (
    HEADERS,
    START,
    WINDOW,
    Bench,
    counts,
    headers,
    latest,
    loan_events,
    log_of,
    run,
    small_config,
)


@pytest.fixture
def bench(sqlite_bench: Bench) -> Bench:
    """A prepared store; what these tests are about does not depend on its kind."""
    return sqlite_bench


def test_partials_of_an_older_format_are_built_again(bench: Bench, tmp_path: Path) -> None:
    """Profiles that cannot be read are made anew from the log: reports equal those of an undisturbed run."""
    events = loan_events(900)
    log = log_of(bench, events[:800])
    first = MemorySource(log, poll_records=100)
    worker = bench.worker(first)
    first.start(worker)
    bench.clock.advance(SECOND)
    worker.turn()
    with bench.database.begin() as connection:
        assert connection.execute(sa.update(partials).values(profile=b"older")).rowcount > 0
    for i, event in enumerate(events[800:]):
        log.append(i % 2, event, HEADERS)
    second = MemorySource(log, poll_records=100)
    run(bench.worker(second, "second"), second, bench.clock, 30)
    calm = Bench(Database.open(f"sqlite:///{tmp_path / 'calm.db'}"), bench.baseline)
    calm.prepare()
    source = MemorySource(log_of(calm, events), poll_records=100)
    run(calm.worker(source), source, calm.clock, 30)
    assert counts(bench.database) == {"accepted": 900}
    expected = {key: (r.rows, r.estimates, r.drift) for key, r in latest(calm.database).items() if r.rows}
    assert {
        key: (r.rows, r.estimates, r.drift) for key, r in latest(bench.database).items() if r.rows
    } == expected
    calm.database.close()


def test_messages_gone_since_are_a_reported_gap_and_stop_nothing(bench: Bench) -> None:
    """Where the log no longer has what an unreadable profile was made of, the rest is read and the gap counted."""
    log = log_of(bench, loan_events(400), count=1)
    first = MemorySource(log)
    worker = bench.worker(first)
    run(worker, first, bench.clock, 1)
    with bench.database.begin() as connection:
        connection.execute(sa.update(partials).values(profile=b"older"))
    log.trim(0, 390)
    second = MemorySource(log)
    worker = bench.worker(second, "second")
    run(worker, second, bench.clock, 3)
    assert worker.metrics.gap_records.labels("t", "0")._value.get() > 0
    bench.clock.advance(HOUR)
    worker.turn()
    assert sum(r.rows for (segment, _), r in latest(bench.database).items() if not segment) <= 400


def test_no_event_is_unknown_after_its_baseline_was_activated(tmp_path: Path, baseline: Baseline) -> None:
    """Events that arrive between an activation and the next checkpoint are counted for the new version."""
    bench = Bench(Database.open(f"sqlite:///{tmp_path / 'new.db'}"), baseline)
    schema.ensure(bench.database)
    log = MemoryLog("t", 1, bench.clock)
    source = MemorySource(log)
    worker = bench.worker(source)
    run(worker, source, bench.clock, 2)
    with bench.database.begin() as connection:
        baselines.activate(connection, baselines.push(connection, baseline, 0), 0)
    for event in loan_events(50):
        log.append(0, event, HEADERS)
    worker._parts.intake.add(source.poll(0.0), bench.clock.now())
    worker._parts.intake.flush(bench.clock.now())
    worker.checkpoint()
    assert counts(bench.database) == {"accepted": 50}
    bench.database.close()


def test_a_clock_set_back_changes_no_report(bench: Bench, tmp_path: Path) -> None:
    """Wall time that jumps back an hour, and is put right later, changes nothing in any report."""
    events = loan_events(900)
    source = MemorySource(log_of(bench, events), poll_records=100)
    worker = bench.worker(source)
    run(worker, source, bench.clock, 3)
    bench.clock.advance(-HOUR)
    for _ in range(10):
        bench.clock.advance(SECOND)
        worker.turn()
    bench.clock.advance(HOUR)
    for _ in range(20):
        bench.clock.advance(SECOND)
        worker.turn()
    calm = Bench(Database.open(f"sqlite:///{tmp_path / 'calm.db'}"), bench.baseline)
    calm.prepare()
    steady = MemorySource(log_of(calm, events), poll_records=100)
    run(calm.worker(steady), steady, calm.clock, 30)
    assert counts(bench.database) == {"accepted": 900}
    expected = {key: (r.rows, r.estimates) for key, r in latest(calm.database).items() if r.rows}
    assert {key: (r.rows, r.estimates) for key, r in latest(bench.database).items() if r.rows} == expected
    calm.database.close()


def test_a_clock_set_back_puts_off_no_checkpoint(bench: Bench) -> None:
    """Checkpoints go on at their pace, and silent partitions are found idle, however far the clock went back."""
    log = log_of(bench, loan_events(900))
    source = MemorySource(log, poll_records=100)
    worker = bench.worker(source)
    worker._pace = Pace(checkpoint=5 * SECOND, poll_seconds=0.01)
    run(worker, source, bench.clock, 2)
    bench.clock.advance(-HOUR)
    for _ in range(20):
        bench.clock.advance(SECOND)
        worker.turn()
    assert counts(bench.database) == {"accepted": 900}
    closed = sum(r.rows for (segment, _), r in latest(bench.database).items() if not segment)
    assert closed == 600
    for _ in range(20):
        bench.clock.advance(30 * SECOND)
        worker.turn()
    closed = sum(r.rows for (segment, _), r in latest(bench.database).items() if not segment)
    assert closed == 900


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(bench: Bench) -> None:
    """A log that ends before the checkpoint is another log: all of it is read, and its offset is kept from then on."""
    first = MemorySource(log_of(bench, loan_events(400), count=1))
    run(bench.worker(first), first, bench.clock, 2)
    log = log_of(bench, loan_events(100, first=400), count=1)
    for _ in range(2):
        again = MemorySource(log)
        run(bench.worker(again, "second"), again, bench.clock, 2)
    assert counts(bench.database) == {"accepted": 500}


def test_an_event_far_ahead_moves_no_watermark(bench: Bench) -> None:
    """One event from next year is put aside by itself; the windows of the others stay open for their rows."""
    log = MemoryLog("t", 1, bench.clock)
    events = loan_events(400)
    for event in events[:200]:
        log.append(0, event, HEADERS, written=START + 15 * MINUTE)
    log.append(0, loan_events(1, first=20_000_000)[0], HEADERS, written=START + 15 * MINUTE)
    for event in events[200:]:
        log.append(0, event, HEADERS, written=START + 15 * MINUTE)
    source = MemorySource(log)
    run(bench.worker(source), source, bench.clock, 3)
    assert counts(bench.database) == {"accepted": 400, "future": 1}


def test_silence_is_reported_window_by_window(bench: Bench) -> None:
    """A model that gets no traffic gets reports without rows, as long as the stretch allows."""
    log = log_of(bench, loan_events(600), count=1)
    source = MemorySource(log)
    worker = bench.worker(source)
    run(worker, source, bench.clock, 2)
    for _ in range(6):
        bench.clock.advance(10 * MINUTE)
        worker.turn()
    found = latest(bench.database)
    assert sum(1 for (segment, _), report in found.items() if not segment and report.rows == 0) >= 3


def test_one_worker_reads_several_sources(bench: Bench) -> None:
    """Events of two sources meet in one window, and each source is told its own offsets."""
    events = loan_events(600)
    one, two = log_of(bench, events[::2], topic="a"), log_of(bench, events[1::2], topic="b")
    members = [MemorySource(one), MemorySource(two)]
    source = SeveralSources(members)
    worker = bench.worker(source)
    run(worker, source, bench.clock, 4)
    assert counts(bench.database) == {"accepted": 600}
    assert {p.topic for p in members[0].committed} == {"a"}
    assert {p.topic for p in members[1].committed} == {"b"}
    worker.finish()


class _Down(MemorySource):
    """A source that does not answer."""

    def poll(self, timeout: float) -> object:  # type: ignore[override]
        raise SourceUnavailable("down")


def test_a_source_that_is_down_holds_up_no_other(bench: Bench) -> None:
    """The other source is read on; its events are checkpointed."""
    source = SeveralSources(
        [MemorySource(log_of(bench, loan_events(100), topic="a")), _Down(MemoryLog("b", 1, bench.clock))]
    )
    run(bench.worker(source), source, bench.clock, 2)
    assert counts(bench.database) == {"accepted": 100}


def test_two_sources_may_not_share_a_topic(bench: Bench) -> None:
    """Offsets are kept by topic and partition, so equal names are refused with a message."""
    source = SeveralSources([MemorySource(log_of(bench, (), topic="a")) for _ in range(2)])
    with pytest.raises(ConfigError, match="two sources"):
        source.partitions()


def test_dead_letters_are_counted_where_they_are_written(bench: Bench) -> None:
    """The metric rises by what went to a dead-letter topic, and not where there is none."""

    class Kept(MemorySource):
        def set_aside(self, letters: Sequence[DeadLetter]) -> int:
            return len(letters)

    log = log_of(bench, [b"poison", *loan_events(10)], count=1)
    counted, uncounted = Metrics(), Metrics()
    source = Kept(log)
    worker = bench.worker(source)
    source.start(worker)
    worker._parts.intake.add(source.poll(0.0), 0)
    worker._parts.models.refresh()
    worker._parts.intake.flush(0)
    letters = worker._parts.intake.letters
    set_aside(source, letters, counted)
    set_aside(MemorySource(log), letters, uncounted)
    assert counted.registry.get_sample_value("mlhealth_dead_letters_total", {"topic": "t"}) == 1
    assert uncounted.registry.get_sample_value("mlhealth_dead_letters_total", {"topic": "t"}) is None


def test_repeated_events_are_counted(bench: Bench) -> None:
    """Unless told otherwise, events that come twice stay in their window, and how many they are is known."""
    events = loan_events(600)
    log = log_of(bench, [*events, *events[:50]], count=1)
    source = MemorySource(log, poll_records=100)
    run(bench.worker(source), source, bench.clock, 3)
    again = MemorySource(log, poll_records=100)
    run(bench.worker(again, "after a crash"), again, bench.clock, 20)
    assert counts(bench.database) == {"accepted": 650, "repeated": 50}


def test_ids_are_remembered_up_to_a_limit() -> None:
    """What a worker remembers is bounded; ids beyond are taken for new, and room comes back with closed windows."""
    ids, place = EventIds(most=100), IdPlace("loans", "1", 0, Partition("t", 0))
    keys = np.arange(100, dtype=np.uint64)
    assert ids.new(place, keys[:80]).all()
    assert not ids.new(place, keys[:80]).any()
    assert ids.new(place, keys[60:]).sum() == 20
    ids.new(place, keys + 200)
    assert ids.held == 100
    ids.saved()
    ids.retire("loans", "1", 1)
    assert ids.held == 0


def test_repeated_events_are_left_out_on_request(bench: Bench, tmp_path: Path) -> None:
    """With `duplicates: remove`, input sent twice and out of order gives the reports of input sent once."""
    events = loan_events(600)
    twice = [event for i in range(0, 600, 20) for event in (*events[i : i + 20][::-1], *events[i : i + 20])]
    log = MemoryLog("t", 1, bench.clock)
    for event in twice:
        log.append(0, event, HEADERS)
    bench.config = small_config(duplicates="remove")
    source = MemorySource(log, poll_records=100)
    run(bench.worker(source), source, bench.clock, 4)
    source = MemorySource(log, poll_records=100)
    run(bench.worker(source, "after a crash"), source, bench.clock, 20)
    calm = Bench(Database.open(f"sqlite:///{tmp_path / 'calm.db'}"), bench.baseline)
    calm.prepare()
    once = MemorySource(log_of(calm, events, count=1), poll_records=100)
    run(calm.worker(once), once, calm.clock, 20)
    assert counts(bench.database) == {"accepted": 600, "duplicate": 600}
    expected = {key: (r.rows, r.estimates, r.drift) for key, r in latest(calm.database).items()}
    assert {key: (r.rows, r.estimates, r.drift) for key, r in latest(bench.database).items()} == expected
    calm.database.close()


def _as_version(baseline: Baseline, version: str) -> Baseline:
    schema = replace(baseline.schema, version=version)
    return replace(baseline, schema=schema, layout=replace(baseline.layout, schema=schema), hash="")


def test_hundreds_of_model_versions_share_a_worker(bench: Bench) -> None:
    """200 versions on one topic are each judged by their own baseline; a new one is taken up while it runs."""
    versions = [str(number) for number in range(2, 202)]
    bench.config = small_config(segments=[])
    copies = [files.seal(_as_version(bench.baseline, version)) for version in versions]
    bench.prepare(copies[:-1])
    log = MemoryLog("t", 2, bench.clock)
    source = MemorySource(log, poll_records=2_000)
    worker = bench.worker(source)
    run(worker, source, bench.clock, 1)
    bench.prepare(copies[-1:])
    for i, event in enumerate(loan_events(10)):
        for version in versions:
            log.append(i % 2, event, headers("loans", version))
    for version in versions:
        for number in range(2):
            mark = (WATERMARK_HEADER, to_iso(START + WINDOW).encode())
            log.append(number, b"", [*headers("loans", version), mark])
    for _ in range(3):
        bench.clock.advance(SECOND)
        worker.turn()
    worker.close_windows()
    assert counts(bench.database) == {"accepted": 2_000}
    with bench.database.read() as connection:
        found = connection.execute(sa.select(reports.c.version, reports.c.rows).where(reports.c.latest)).all()
    assert {(r.version, r.rows) for r in found} == {(v, 10) for v in versions}
