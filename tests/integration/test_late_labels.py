"""Late labels over a log in memory, on both stores: joined once, whenever they come, and able to turn the score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from mlhealth.alerts.rules import parse_rules
from mlhealth.clock import DAY, MINUTE, SECOND
from mlhealth.events.labels import LABEL_FORMAT
from mlhealth.events.messages import Partition
from mlhealth.labels.track_record import track_records
from mlhealth.records import HealthStatus, LabelDesign, WindowReport
from mlhealth.report_json import from_data
from mlhealth.sources.base import FORMAT_HEADER
from mlhealth.sources.memory import MemoryLog, MemorySource
from mlhealth.store import comparisons, labels
from mlhealth.store.alert_tables import alert_transitions
from mlhealth.store.database import Database
from mlhealth.store.tables import counters, rejections, reports
from mlhealth.worker.loop import POINTS, Worker
from tests.integration.test_stream_memory import Killed, killer
from tests.servers.stream import HEADERS, START, WINDOW, Bench, loan_events, loan_rows, run

LABELS = (*HEADERS, (FORMAT_HEADER, LABEL_FORMAT.encode()))
PER_WINDOW = 300
"""Events of a window where one comes every two seconds."""
NAME = ("loans", "1")


class Desk:
    """A worker at work on one partition of events and one of labels."""

    def __init__(self, bench: Bench, worker: str = "worker", log: MemoryLog | None = None) -> None:
        self.bench = bench
        self.log = log or MemoryLog("t", 1, bench.clock)
        self.source = MemorySource(self.log)
        self.worker: Worker = bench.worker(self.source, worker)
        run(self.worker, self.source, bench.clock, 1)

    def send(self, values: Iterable[bytes], headers: Sequence[tuple[str, bytes]] = HEADERS) -> None:
        """Write messages and let the worker do some rounds."""
        for value in values:
            self.log.append(0, value, headers)
        for _ in range(4):
            self.bench.clock.advance(SECOND)
            self.worker.turn()
        while not all(closed.is_done for closed in self.worker.close_windows()):
            pass

    def latest(self, segment: str = "") -> dict[int, WindowReport]:
        """Return the latest report of each window that has rows, by its number."""
        with self.bench.database.read() as connection:
            query = sa.select(reports.c.report).where(reports.c.latest, reports.c.segment == segment)
            found = [from_data(row.report) for row in connection.execute(query)]
        return {(r.key.start - START) // WINDOW: r for r in found if r.rows}

    def count(self, query: sa.Select[Any]) -> int:
        """Return the number that a query asks for."""
        with self.bench.database.read() as connection:
            return int(connection.execute(query).scalar() or 0)


def truth(rows: int, seed: int = 1) -> list[int]:
    """Return the true class of each event of `loan_events`."""
    return [int(v) for v in loan_rows(rows, seed).column("y_true").to_pylist()]


def label(event: int, value: object, **more: object) -> bytes:
    """Return a label as a message."""
    return orjson.dumps({"event_id": f"e{event}", "y_true": value, **more})


def accuracy(rows: int, labels: Sequence[int], first: int, last: int) -> float:
    """Return the share of events whose prediction is their label."""
    predicted: list[int] = loan_rows(rows, 1).column("y_pred").to_pylist()[first:last]
    return sum(p == t for p, t in zip(predicted, labels[first:last], strict=True)) / (last - first)


def test_labels_of_closed_windows_give_their_realised_metrics(bench: Bench) -> None:
    """Labels that come weeks later make a revision with the exact metric, and estimates stay as they were."""
    desk, true = Desk(bench), truth(700)
    desk.send(loan_events(700))
    before = desk.latest()
    assert not before[0].realized
    bench.clock.advance(14 * DAY)
    desk.send((label(i, true[i]) for i in range(PER_WINDOW)), LABELS)
    after = desk.latest()
    assert after[0].revision == before[0].revision + 1
    assert after[0].estimates == before[0].estimates
    assert after[0].realized["accuracy"] == pytest.approx(accuracy(700, true, 0, PER_WINDOW))
    found = after[0].labels
    assert found is not None
    assert (found.design, found.labelled, found.kept) == (LabelDesign.WHOLE, PER_WINDOW, PER_WINDOW)
    assert after[1] == before[1]
    assert "labels of 300 of 300 kept rows say accuracy is" in " ".join(
        r.text for r in after[0].health.reasons
    )


def test_segments_get_the_labels_of_their_rows(bench: Bench) -> None:
    """A segment's realised metric is that of its own rows of the kept sample."""
    desk, true = Desk(bench), truth(400)
    desk.send(loan_events(400))
    desk.send((label(i, true[i]) for i in range(PER_WINDOW)), LABELS)
    whole, part = desk.latest()[0], desk.latest("region=eu")[0]
    assert whole.labels is not None
    assert part.labels is not None
    assert part.labels.kept == part.rows < whole.rows
    table = loan_rows(400, 1).slice(0, PER_WINDOW).to_pylist()
    mine = [r["y_pred"] == r["y_true"] for r in table if r["region"] == "eu"]
    assert part.realized["accuracy"] == pytest.approx(sum(mine) / len(mine))


def test_the_same_label_twice_changes_nothing(bench: Bench) -> None:
    """A label sent again, or an older word on it, makes no revision; a later correction does."""
    desk, true = Desk(bench), truth(400)
    desk.send(loan_events(400))
    desk.send([label(i, true[i]) for i in range(PER_WINDOW)], LABELS)
    first = desk.latest()[0]
    desk.send([label(i, true[i]) for i in range(PER_WINDOW)], LABELS)
    desk.send([label(7, 1 - true[7], at="2001-01-01T00:00:00Z")], LABELS)
    assert desk.latest()[0] == first
    desk.send([label(7, 1 - true[7])], LABELS)
    corrected = desk.latest()[0]
    assert corrected.revision == first.revision + 1
    assert abs(corrected.realized["accuracy"] - first.realized["accuracy"]) == pytest.approx(1 / PER_WINDOW)


def test_labels_that_come_before_their_event_are_kept(bench: Bench) -> None:
    """Labels that were there first are in the first report of their window."""
    desk, true = Desk(bench), truth(400)
    desk.send([label(i, true[i]) for i in range(PER_WINDOW)], LABELS)
    desk.send(loan_events(400))
    report = desk.latest()[0]
    assert report.revision == 0
    assert report.realized["accuracy"] == pytest.approx(accuracy(400, true, 0, PER_WINDOW))


def test_labels_that_cannot_be_used_are_rejected_with_their_reason(bench: Bench) -> None:
    """A missing id, an unknown class, an unreadable time and a body that is no JSON are told apart."""
    desk = Desk(bench)
    desk.send([b'{"y_true": 1}', label(1, "maybe"), label(2, 1, at="soon"), b"{", label(3, True)], LABELS)
    with bench.database.read() as connection:
        told = sorted(connection.execute(sa.select(rejections.c.reason)).scalars())
    assert [text[:24] for text in told] == [
        "at: the time cannot be r", "not valid JSON", "the event's id is missin", "the label is none of the",
    ]  # fmt: skip
    accepted = sa.select(sa.func.sum(counters.c.events)).where(counters.c.outcome == "label")
    assert desk.count(accepted) == 1


def test_a_concept_drop_that_only_labels_see_turns_the_score_and_pages(bench: Bench) -> None:
    """Inputs stay as they are and labels flip: estimates see nothing, labels turn the windows and fire the rule."""
    bench.rules = parse_rules(
        "rules:\n  - alert: Drop\n    when: health.status == 'critical'\n    severity: page\n"
    )
    desk, true = Desk(bench), truth(1_300)
    desk.send(loan_events(1_300))
    assert HealthStatus.CRITICAL not in {r.health.status for r in desk.latest().values()}
    bench.clock.advance(2 * DAY)
    desk.send([label(i, 1 - true[i]) for i in range(1_200) if i % 2], LABELS)
    for window in range(4):
        report = desk.latest()[window]
        assert report.labels is not None
        assert report.labels.design is LabelDesign.ARRIVED
        assert report.labels.estimates["accuracy"].value < 0.5  # type: ignore[operator]
        assert report.health.score is not None
        assert report.health.score < 1.0
        assert report.health.cause == "model wrong"
    assert desk.latest()[1].health.status is HealthStatus.CRITICAL
    fired = sa.select(sa.func.count()).where(
        alert_transitions.c.rule == "Drop",
        alert_transitions.c.state == "firing",
        alert_transitions.c.segment == "",
    )
    assert desk.count(fired) == 1
    with bench.database.read() as connection:
        found = comparisons.compared(connection, NAME)
    (record,) = [r for r in track_records(found) if r.metric == "accuracy"]
    assert (record.windows, record.coverage) == (4, 0.0)
    told = desk.worker.metrics.registry.get_sample_value
    named = {"model": "loans", "version": "1", "metric": "accuracy"}
    assert told("mlhealth_interval_coverage", named) == 0.0
    assert told("mlhealth_estimate_bias", named) == pytest.approx(record.bias)
    assert told("mlhealth_realized_performance_upper", {**named, "segment": ""}) < 0.5  # type: ignore[operator]
    assert record.bias > 0.3


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_while_labels_come_joins_each_once(bench: Bench, tmp_path: Path, point: str) -> None:
    """Reports, labels and counts after a kill equal those of an undisturbed run."""
    true = truth(700)
    calm = Bench(Database.open(f"sqlite:///{tmp_path / 'calm.db'}"), bench.baseline)
    calm.prepare()
    wanted = Desk(calm)
    wanted.send(loan_events(700))
    wanted.send([label(i, true[i]) for i in range(0, 700, 3)], LABELS)
    desk = Desk(bench)
    desk.send(loan_events(700))
    for i in range(0, 700, 3):
        desk.log.append(0, label(i, true[i]), LABELS)
    doomed = MemorySource(desk.log)
    with pytest.raises(Killed):
        run(bench.worker(doomed, "doomed", killer(point, 1)), doomed, bench.clock, 20)
    again = Desk(bench, "again", desk.log)
    again.send([])
    for number, report in wanted.latest().items():
        other = again.latest()[number]
        assert (report.realized, report.labels, report.health) == (other.realized, other.labels, other.health)
    for found in (wanted, again):
        accepted = sa.select(sa.func.sum(counters.c.events)).where(counters.c.outcome == "label")
        assert found.count(accepted) == 234
    calm.database.close()


def test_a_rule_may_ask_how_estimates_have_compared_with_labels(bench: Bench) -> None:
    """Where labels of older windows contradict their estimates, the next window that closes fires the rule."""
    bench.rules = parse_rules("rules:\n  - alert: Blind\n    when: record.accuracy.recent_bias > 0.1\n")
    desk, true = Desk(bench), truth(1_300)
    events = loan_events(1_300)
    desk.send(events[:950])
    desk.send([label(i, 1 - true[i]) for i in range(600)], LABELS)
    blind = sa.select(sa.func.count()).where(
        alert_transitions.c.rule == "Blind", alert_transitions.c.segment == ""
    )
    assert desk.count(blind) == 0
    desk.send(events[950:])
    assert desk.count(blind) == 1


def test_events_and_labels_read_by_two_workers_meet(bench: Bench) -> None:
    """One worker reads events, another labels, in turns: every window ends with every label, whoever came first."""
    true, events = truth(1_300), loan_events(1_300)
    log = MemoryLog("t", 2, bench.clock)
    first, second = MemorySource(log, poll_records=100), MemorySource(log, poll_records=60)
    first.take([Partition("t", 1)])
    second.take([Partition("t", 0)])
    reader, labeller = bench.worker(first, "reader"), bench.worker(second, "labeller")
    for i, event in enumerate(events):
        log.append(0, event, HEADERS)
        log.append(1, label(i, true[i]), LABELS)
    first.start(reader)
    second.start(labeller)
    for turn in range(40):
        bench.clock.advance(MINUTE if turn == 30 else SECOND)
        reader.turn()
        labeller.turn()
    reader.close_windows()
    with bench.database.read() as connection:
        query = sa.select(reports.c.report).where(
            reports.c.latest, reports.c.segment == "", reports.c.rows > 0
        )
        found = [from_data(row.report) for row in connection.execute(query.order_by(reports.c.start))]
    assert len(found) == 4
    for number, report in enumerate(found):
        at = number * PER_WINDOW
        assert report.realized["accuracy"] == pytest.approx(accuracy(1_300, true, at, at + PER_WINDOW))


def test_labels_are_forgotten_after_the_horizon(bench: Bench) -> None:
    """Old labels go; what they said stays."""
    with bench.database.begin() as connection:
        labels.write(connection, [labels.Label("loans", "1", 1, "1", 0)], now=10)
        assert labels.forget(connection, "loans", before=5 * MINUTE) == 1
        assert labels.changes(connection, "loans") == 1
