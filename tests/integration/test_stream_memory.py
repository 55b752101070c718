"""The worker over a log in memory, on both stores: nothing lost, nothing doubled, nothing stopped by bad input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
import sqlalchemy as sa

from mlhealth.baseline.files import from_bytes, to_bytes
from mlhealth.clock import DAY, MINUTE, SECOND, to_iso
from mlhealth.events.messages import Partition
from mlhealth.events.normalise import Origin, normalise
from mlhealth.files.slicing import time_windows
from mlhealth.monitor import Evaluator
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import WindowReport
from mlhealth.sources.memory import MemoryLog, MemorySource
from mlhealth.store import baselines
from mlhealth.store.database import Database
from mlhealth.store.tables import partials, partitions, rejections
from mlhealth.worker.loop import POINTS
from tests.servers.stream import (
    HEADERS,
    START,
    WINDOW,
    Bench,
    counts,
    headers,
    latest,
    loan_baseline,
    loan_events,
    log_of,
    rows,
    run,
    same_verdicts,
    small_config,
)


def undisturbed(
    bench: Bench, tmp_path: Path, events: Sequence[bytes], turns: int
) -> dict[tuple[str, int], WindowReport]:
    """Return the reports that one worker makes of the events when nothing happens to it."""
    calm = Bench(Database.open(f"sqlite:///{tmp_path / 'calm.db'}"), bench.baseline)
    calm.prepare()
    source = MemorySource(log_of(calm, events), poll_records=100)
    run(calm.worker(source), source, calm.clock, turns)
    found = latest(calm.database)
    calm.database.close()
    return found


class Killed(BaseException):
    """Stands for the end of a process: nothing of it survives but the store."""


def killer(point: str, times: int) -> Callable[[str], None]:
    """Return a fault that ends the process when `point` is reached for the n-th time."""
    left = [times]

    def fault(at: str) -> None:
        if at == point:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

    return fault


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_worker_killed_at_a_named_point_loses_and_doubles_nothing(
    bench: Bench, tmp_path: Path, point: str, times: int
) -> None:
    """Final reports equal those of an undisturbed run, whichever point and round the process died at."""
    events = loan_events(1_300)
    log = log_of(bench, events)
    source = MemorySource(log, poll_records=100)
    with pytest.raises(Killed):
        run(bench.worker(source, fault=killer(point, times)), source, bench.clock, 20)
    again = MemorySource(log, poll_records=100)
    run(bench.worker(again, "second"), again, bench.clock, 20)
    same_verdicts(latest(bench.database), undisturbed(bench, tmp_path, events, 20))
    assert counts(bench.database) == {"accepted": 1_300}


def test_a_worker_that_lost_its_partition_writes_nothing(bench: Bench) -> None:
    """Of two workers that believe they own a partition, the later to checkpoint drops its state and reloads."""
    log = log_of(bench, loan_events(400), count=1)
    first, second = MemorySource(log, poll_records=100), MemorySource(log, poll_records=100)
    old, new = bench.worker(first, "old"), bench.worker(second, "new")
    run(old, first, bench.clock, 1)
    run(new, second, bench.clock, 2)
    for _ in range(6):
        bench.clock.advance(SECOND)
        old.turn()
    (row,) = rows(bench.database, sa.select(partitions))
    assert (row.next_offset, row.owner) == (400, "old")
    assert counts(bench.database) == {"accepted": 400}
    total = rows(bench.database, sa.select(sa.func.sum(partials.c.rows)).where(partials.c.segment == ""))
    assert int(total[0][0]) == 400


def test_partitions_move_between_workers(bench: Bench, tmp_path: Path) -> None:
    """A window whose partitions were read by two workers, one after the other, is closed once with all its rows."""
    events = loan_events(1_300)
    log = log_of(bench, events)
    first, second = MemorySource(log, poll_records=100), MemorySource(log, poll_records=100)
    second.take([Partition("t", 0), Partition("t", 1)])
    old, new = bench.worker(first, "old"), bench.worker(second, "new")
    run(old, first, bench.clock, 2)
    second.start(new)
    first.take([Partition("t", 1)])
    second.give([Partition("t", 1)])
    for _ in range(20):
        bench.clock.advance(SECOND)
        old.turn()
        new.turn()
    same_verdicts(latest(bench.database), undisturbed(bench, tmp_path, events, 20))
    assert {row.owner for row in rows(bench.database, sa.select(partitions))} == {"old", "new"}


def test_late_rows_revise_their_window_and_later_ones_are_counted(bench: Bench) -> None:
    """Within the lateness a row revises its window; after it, the row is counted as late and changes nothing."""
    late = [orjson.loads(event) for event in loan_events(500, seed=5)[450:]]
    early = [orjson.dumps({**event, "ts": to_iso(START + 60 * SECOND)}) for event in late]
    log = log_of(bench, loan_events(450), count=1)
    source = MemorySource(log)
    worker = bench.worker(source)

    def send(events: Sequence[bytes]) -> None:
        for event in events:
            log.append(0, event, HEADERS)
        for _ in range(3):
            bench.clock.advance(SECOND)
            worker.turn()

    run(worker, source, bench.clock, 3)
    first = latest(bench.database)["", START]
    bench.clock.advance(MINUTE)
    send(early[:10])
    revised = latest(bench.database)["", START]
    assert (first.rows, first.revision, revised.rows, revised.revision) == (300, 0, 310, 1)
    send([*early[10:40], *loan_events(100, first=1_300)])
    final = latest(bench.database)["", START]
    send(early[40:])
    assert (final.rows, latest(bench.database)["", START]) == (340, final)
    assert counts(bench.database) == {"accepted": 450 + 40 + 100, "late": 10}


def test_bad_input_is_counted_kept_with_its_address_and_stops_nothing(bench: Bench) -> None:
    """Every kind of bad event becomes a row with its address and reason, and all good ones are accepted."""
    good = loan_events(10)
    event = orjson.loads(good[0])

    def but(**changes: object) -> bytes:
        return orjson.dumps({**event, **changes})

    bad = {
        b"this is not JSON": "rejected",
        b"": "rejected",
        b"[1, 2]": "rejected",
        but(y_pred=None): "rejected",
        orjson.dumps({k: v for k, v in event.items() if k != "y_score"}): "rejected",
        but(amount="a lot"): "rejected",
        but(amount={"eur": 3}): "rejected",
        but(y_score=7): "rejected",
        but(y_score="NaN"): "rejected",
        but(ts="1970-01-01T00:00:10Z"): "ancient",
        but(ts="2100-01-01T00:00:00Z"): "future",
        b'{"amount": NaN, "y_pred": 1, "y_score": Infinity}': "rejected",
        b"\xff\xfe\x00": "rejected",
        b"x" * (33 * 1024 * 1024): "rejected",
    }
    log = log_of(bench, [*good, *bad], count=1)
    unknown = log.append(0, good[0], headers("nobody", "9"))
    nameless = log.append(0, good[0])
    source = MemorySource(log)
    run(bench.worker(source), source, bench.clock, 3)
    expected = {"accepted": 10, "rejected": 12, "ancient": 1, "future": 1, "unknown_model": 1, "no_model": 1}
    assert counts(bench.database) == expected
    kept = rows(bench.database, sa.select(rejections).order_by(rejections.c.offset))
    assert [row.offset for row in kept] == [*range(10, 24), unknown, nameless]
    assert all(row.topic == "t" and row.reason for row in kept)
    assert not any("a lot" in row.reason for row in kept)


def test_silence_is_reported(bench: Bench) -> None:
    """When a model stops sending, its windows are reported with no rows, at the pace of the wall clock."""
    log = log_of(bench, loan_events(301), count=1)
    source = MemorySource(log)
    worker = bench.worker(source)
    run(worker, source, bench.clock, 3)
    bench.clock.advance(35 * MINUTE)
    for _ in range(2):
        bench.clock.advance(SECOND)
        worker.turn()
    found = {start: report.rows for (segment, start), report in latest(bench.database).items() if not segment}
    assert found == {START: 300, START + WINDOW: 1, START + 2 * WINDOW: 0, START + 3 * WINDOW: 0}


def test_messages_that_retention_took_are_told_as_a_gap(bench: Bench) -> None:
    """A worker that comes back too late goes on from what is left, and says which offsets it never read."""
    log = log_of(bench, loan_events(100), count=1)
    source = MemorySource(log)
    run(bench.worker(source), source, bench.clock, 2)
    for event in loan_events(200, first=100):
        log.append(0, event, HEADERS)
    log.trim(0, 150)
    again = MemorySource(log)
    worker = bench.worker(again, "second")
    run(worker, again, bench.clock, 3)
    assert counts(bench.database) == {"accepted": 250, "gap": 50}
    told = worker.metrics.registry.get_sample_value(
        "mlhealth_gap_records_total", {"topic": "t", "partition": "0"}
    )
    assert told == 50


def test_a_version_without_a_baseline_is_judged_once_it_has_one(bench: Bench) -> None:
    """Until a version has a baseline its events are counted; with it, from its start on, they are judged."""
    log = MemoryLog("t", 1, bench.clock)
    for event in loan_events(400):
        log.append(0, event, headers("loans", "2"))
    source = MemorySource(log)
    worker = bench.worker(source)
    run(worker, source, bench.clock, 2)
    assert counts(bench.database) == {"unknown_model": 400}
    bench.prepare([loan_baseline("loans", "2")])
    for event in loan_events(400, first=400):
        log.append(0, event, headers("loans", "2"))
    for _ in range(3):
        bench.clock.advance(SECOND)
        worker.turn()
    assert counts(bench.database) == {"unknown_model": 400, "accepted": 400}


def test_a_clock_set_back_changes_no_result(bench: Bench, tmp_path: Path) -> None:
    """Wall time decides when to look, never what is in a window."""
    events = loan_events(1_300)
    source = MemorySource(log_of(bench, events), poll_records=100)
    worker = bench.worker(source)
    run(worker, source, bench.clock, 4)
    bench.clock.advance(-2 * DAY)
    for _ in range(20):
        bench.clock.advance(SECOND)
        worker.turn()
    bench.clock.advance(2 * DAY)
    for _ in range(20):
        bench.clock.advance(SECOND)
        worker.turn()
    same_verdicts(
        {k: v for k, v in latest(bench.database).items() if v.rows},
        {k: v for k, v in undisturbed(bench, tmp_path, events, 20).items() if v.rows},
    )


def test_a_sampled_log_is_judged_as_the_file_is(bench: Bench) -> None:
    """Weights go through partials, checkpoints and a second worker: each window has the file's numbers and volume."""
    schema = replace(bench.baseline.schema, weight="logged")
    layout = replace(bench.baseline.layout, schema=schema)
    sampled = from_bytes(to_bytes(replace(bench.baseline, schema=schema, layout=layout, hash="")))
    with bench.database.begin() as connection:
        baselines.push(connection, sampled, 0)
        baselines.activate(connection, sampled.hash, 0)
    events = [
        orjson.dumps({**orjson.loads(event), "logged": 1.0 if i % 3 else 12.5})
        for i, event in enumerate(loan_events(900))
    ]
    log = log_of(bench, events)
    first = MemorySource(log, poll_records=70)
    run(bench.worker(first, "first"), first, bench.clock, 3)
    second = MemorySource(log, poll_records=100)
    worker = bench.worker(second, "second")
    run(worker, second, bench.clock, 12)
    bench.clock.advance(35 * MINUTE)
    worker.turn()
    found = latest(bench.database)
    table = pa.Table.from_pylist([orjson.loads(event) for event in events])
    batch = normalise(table, sampled.schema, Origin.file("events", table.num_rows)).batch
    evaluator = Evaluator(sampled)
    for window in time_windows(batch, WINDOW):
        report = found["", window.start]
        expected = evaluator.evaluate(WindowProfile.of(window.batch, sampled.layout), report.key)
        assert (report.rows, report.events) == (expected.rows, expected.events)
        assert report.effective_rows == expected.effective_rows
        assert report.estimates == expected.estimates
        assert report.drift == expected.drift
        assert report.volume > 4 * report.rows


def test_a_run_of_a_batch_job_is_a_window(bench: Bench) -> None:
    """Rows with the run's time are one window however long the job writes; silence between daily runs is no news."""
    bench.config = small_config(window="1d", lateness="10m", runs=True)
    log = MemoryLog("t", 2, bench.clock)
    source = MemorySource(log)
    worker = bench.worker(source)
    run(worker, source, bench.clock, 1)
    began = [bench.clock.now() // DAY * DAY + day * DAY for day in range(1, 4)]
    for day, start in enumerate(began):
        bench.clock.advance(start + MINUTE - bench.clock.now())
        rows_of_run = [
            {**orjson.loads(event), "ts": to_iso(start), "event_id": f"{day}-{i}"}
            for i, event in enumerate(loan_events(400, seed=day))
        ]
        for first in range(0, 400, 100):
            for i, event in enumerate(rows_of_run[first : first + 100]):
                log.append(i % 2, orjson.dumps(event), HEADERS)
            bench.clock.advance(20 * SECOND)
            worker.turn()
            told = [key for key in latest(bench.database) if key == ("", start)]
            assert told == [], "a run that is still written was judged"
        bench.clock.advance(40 * SECOND)
        worker.turn()
        assert latest(bench.database)["", start].rows == 400
    overall = {start: report for (segment, start), report in latest(bench.database).items() if not segment}
    assert sorted(overall) == began
    assert all(report.rows == 400 and report.revision == 0 for report in overall.values())
    assert not any("no window came" in r.text for report in overall.values() for r in report.health.reasons)
