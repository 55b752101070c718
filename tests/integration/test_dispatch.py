"""Delivery from the store to a strict receiver over real sockets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from mlhealth.alerts.dispatch import Dispatcher, Options, Receiver
from mlhealth.alerts.engine import EngineState, Step, step
from mlhealth.alerts.matchers import Matcher
from mlhealth.alerts.notifiers.registry import notifier
from mlhealth.alerts.rules import RuleSet, parse_rules
from mlhealth.clock import DAY, HOUR, MINUTE, SECOND, ManualClock
from mlhealth.config.receivers import ReceiverConfig
from mlhealth.store import alert_tables, silences
from mlhealth.store.acknowledge import acknowledge
from mlhealth.store.database import Database
from mlhealth.store.silences import NewSilence
from tests.alert_rules import DESIGN_RULE, design_rules, store, store_at, window
from tests.strict_receiver import Reply, Request, StrictReceiver, receiver

NOW = 1_800_000_000 * SECOND


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty store of each kind."""
    sqlite = request.param == "sqlite"
    opened = store(tmp_path) if sqlite else store_at(request.getfixturevalue("postgres"))
    yield opened
    opened.close()


class Office:
    """A store, a manual clock, and a dispatcher that serves one webhook."""

    def __init__(self, database: Database, server: StrictReceiver, **settings: Any) -> None:
        self.database = database
        self.clock = ManualClock(NOW)
        self.counts: Counter[str] = Counter()
        config = ReceiverConfig.model_validate(
            {"webhook": {"url": server.url, "timeout": "500ms"}, **settings}
        )
        options = Options(
            "https://mlhealth.example", clock=self.clock, rng=np.random.default_rng(1), count=self._count
        )
        self.dispatcher = Dispatcher(
            database, {"oncall": Receiver(notifier("oncall", config), config)}, options
        )
        self.state = EngineState()

    def _count(self, receiver: str, outcome: str, notices: int) -> None:
        self.counts[outcome] += notices

    def see(
        self, n: int, status: str = "critical", rules: RuleSet | None = None, model: str = "loan-default"
    ) -> Step:
        """Judge a window and record what it did, as the worker does."""
        outcome = step(rules or design_rules(), window(n, status, model=model), self.state)
        self.state = outcome.state
        with self.database.begin() as connection:
            alert_tables.record(connection, outcome, self.clock.now())
        return outcome

    def states(self) -> dict[str, int]:
        """Return the number of outbox rows by state."""
        counted = select(alert_tables.outbox.c.state, func.count()).group_by(alert_tables.outbox.c.state)
        with self.database.read() as connection:
            return {state: count for state, count in connection.execute(counted)}  # noqa: C416 - rows are not pairs


def statuses(server: StrictReceiver) -> list[str]:
    """Return the status of each message that was taken."""
    return [request.json["status"] for request in server.taken]


def test_firing_and_resolved_arrive_once(database: Database) -> None:
    """Over a fall and a recovery the receiver gets one firing and one resolved message, and then nothing."""
    with receiver() as server:
        office = Office(database, server)
        for n, status in enumerate(["critical", "critical", "healthy", "healthy"]):
            office.see(n, status)
            office.dispatcher.turn()
            office.dispatcher.turn()
        assert statuses(server) == ["firing", "resolved"]
        assert office.states() == {"delivered": 2}


def test_recording_a_window_again_tells_nothing_again(database: Database) -> None:
    """A rerun of the same window writes the same rows."""
    with receiver() as server:
        office = Office(database, server)
        outcome = office.see(0)
        office.dispatcher.turn()
        with database.begin() as connection:
            alert_tables.record(connection, outcome, NOW)
        assert office.dispatcher.turn() == 0
        assert statuses(server) == ["firing"]


def test_a_failing_receiver_is_tried_again_with_the_same_id(database: Database) -> None:
    """After a server error, a lost answer and a 429, the message arrives under the id it always had."""
    with receiver() as server:
        server.script = [Reply(500), "half", Reply(429, b"", {"retry-after": "60"})]
        office = Office(database, server)
        office.see(0)
        for pause in (0, 2 * SECOND, 4 * SECOND):
            office.clock.advance(pause)
            office.dispatcher.turn()
        office.clock.advance(59 * SECOND)
        assert office.dispatcher.turn() == 0
        office.clock.advance(10 * SECOND)
        assert office.dispatcher.turn() == 1
        assert len({request.headers["webhook-id"] for request in server.seen}) == 1
        assert office.counts == {"retried": 3, "delivered": 1}


def test_giving_up_is_loud(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """After `give_up` a failing message stops being tried, with an error in the log and a failed row."""
    with receiver(lambda request: Reply(503)) as server:
        office = Office(database, server, give_up="1h")
        office.see(0)
        office.dispatcher.turn()
        office.clock.advance(HOUR)
        office.dispatcher.turn()
        assert office.states() == {"failed": 1}
        assert office.counts["failed"] == 1
        assert any(r.levelname == "ERROR" and "gave up on 1 notices" in r.message for r in caplog.records)


def test_a_refusal_is_final_at_once(database: Database) -> None:
    """A 403 is not tried again."""
    with receiver(lambda request: Reply(403)) as server:
        office = Office(database, server)
        office.see(0)
        office.dispatcher.turn()
        assert office.states() == {"failed": 1}
        assert len(server.seen) == 1


def test_only_the_latest_news_is_sent_after_an_outage(database: Database) -> None:
    """When an alert fires and ends while the receiver is away, only the end is sent; and nothing if none was tried."""
    with receiver() as server:
        server.script = [Reply(503)]
        office = Office(database, server)
        office.see(0)
        office.dispatcher.turn()
        office.see(1, "healthy")
        office.see(2, "critical")
        office.see(3, "healthy")
        office.clock.advance(MINUTE)
        office.dispatcher.turn()
        assert statuses(server) == ["resolved"]
        assert office.states() == {"superseded": 3, "delivered": 1}


def test_news_that_waits_for_another_attempt_is_not_sent_after_later_news(database: Database) -> None:
    """What a retry still holds back when the next news leaves is never sent."""
    with receiver() as server:
        server.script = [Reply(429, b"", {"retry-after": "600"})]
        office = Office(database, server)
        office.see(0)
        office.dispatcher.turn()
        office.see(1, "healthy")
        office.dispatcher.turn()
        office.clock.advance(HOUR)
        office.dispatcher.turn()
        assert statuses(server) == ["resolved"]
        assert office.states() == {"superseded": 1, "delivered": 1}


def test_an_alert_nobody_heard_of_ends_in_silence(database: Database) -> None:
    """An alert that ended before anybody was told of it is not told at all."""
    with receiver() as server:
        office = Office(database, server)
        office.see(0)
        office.see(1, "healthy")
        office.dispatcher.turn()
        assert server.seen == []
        assert office.states() == {"superseded": 1, "dropped": 1}


def test_a_silence_holds_back_and_its_end_tells(database: Database) -> None:
    """A silenced alert is not told; when the silence ends and it still fires, it is."""
    with receiver() as server:
        office = Office(database, server)
        wanted = NewSilence(
            (Matcher.parse('model=~"loan-.*"'),),
            NOW,
            NOW + HOUR,
            "kim",
            "planned migration of the income feed",
        )
        with database.begin() as connection:
            made = silences.add(connection, wanted, NOW)
        office.see(0)
        office.dispatcher.turn()
        assert server.seen == []
        with database.begin() as connection:
            silences.expire(connection, made.id, "kim", NOW + MINUTE)
        office.clock.advance(MINUTE)
        office.dispatcher.turn()
        assert statuses(server) == ["firing"]


def test_maintenance_that_comes_again_holds_back_in_its_hours_only(database: Database) -> None:
    """An alert of the hours is told when they are over; one outside of them at once."""
    # The office's clock begins on a Friday at 08:00 UTC.
    with receiver() as server:
        office = Office(database, server)
        matchers = (Matcher.parse('model="loan-default"'),)
        wanted = NewSilence(matchers, NOW, NOW + 300 * DAY, "kim", "loads", "fri 09:00-11:00 Europe/Berlin")
        with database.begin() as connection:
            silences.add(connection, wanted, NOW)
        office.see(0)
        office.dispatcher.turn()
        assert server.seen == []
        office.clock.advance(2 * HOUR)
        office.dispatcher.turn()
        assert statuses(server) == ["firing"]
        office.see(1, "healthy")
        office.clock.advance(DAY)
        office.see(2)
        office.dispatcher.turn()
        assert statuses(server)[-1] == "firing"


def test_alerts_of_a_group_travel_together(database: Database) -> None:
    """Two rules that fire on one model make one message of two alerts; another model makes its own."""
    both = parse_rules(
        DESIGN_RULE + DESIGN_RULE.partition("rules:")[2].replace("PredictedAccuracyDrop", "Second")
    )
    with receiver() as server:
        office = Office(database, server)
        office.see(0, rules=both)
        office.see(0, rules=both, model="fraud")
        office.dispatcher.turn()
        assert sorted(len(r.json["alerts"]) for r in server.taken) == [2, 2]
        assert {r.json["groupLabels"]["model"] for r in server.taken} == {"loan-default", "fraud"}


def test_reminders_stop_when_somebody_takes_the_alert(database: Database) -> None:
    """A receiver with `remind` is told again each interval, until the alert is acknowledged."""
    with receiver() as server:
        office = Office(database, server, remind="4h")
        outcome = office.see(0)
        office.dispatcher.turn()
        for _ in range(2):
            office.clock.advance(4 * HOUR)
            office.dispatcher.turn()
        assert len(server.taken) == 3
        with database.begin() as connection:
            acknowledge(connection, outcome.transitions[0].fingerprint, "kim", "on it", office.clock.now())
        office.dispatcher.turn()
        assert len(server.taken) == 4
        office.clock.advance(8 * HOUR)
        assert office.dispatcher.turn() == 0


def test_a_receivers_limit_makes_messages_wait(database: Database) -> None:
    """Messages over `limit` leave when there is room again; none is lost."""
    with receiver() as server:
        office = Office(database, server, limit={"messages": 2, "per": "10m"})
        for n in range(5):
            office.see(0, model=f"m{n}")
        sent = []
        for _ in range(4):
            office.dispatcher.turn()
            sent.append(len(server.taken))
            office.clock.advance(10 * MINUTE + SECOND)
        assert sent == [2, 4, 5, 5]


def test_a_hanging_receiver_delays_no_other(database: Database) -> None:
    """While one receiver hangs, another's message arrives within the same pass."""
    with receiver() as slow, receiver() as fast:
        slow.script = ["hang"]
        office = Office(database, slow)
        config = ReceiverConfig.model_validate({"webhook": {"url": fast.url}})
        both = {"oncall": Receiver(notifier("oncall", {"webhook": {"url": slow.url, "timeout": "1s"}}), config),
                "other": Receiver(notifier("other", config), config)}  # fmt: skip
        dispatcher = Dispatcher(database, both, Options(clock=office.clock))
        office.see(0, rules=parse_rules(DESIGN_RULE.replace("[oncall]", "[oncall, other]")))
        dispatcher.turn()
        assert len(fast.taken) == 1
        assert slow.taken == []


def test_the_receivers_own_names_are_kept_for_updates(database: Database) -> None:
    """A Slack bot's message is updated when the alert ends, and not posted a second time."""

    def slack(request: Request) -> Reply:
        return Reply(200, json.dumps({"ok": True, "ts": "1700000000.000100"}).encode())

    with receiver(slack) as server:
        office = Office(database, server)
        given = {"slack": {"token": "xoxb-not-real", "channel": "C1", "api": f"{server.url}/api"}}
        config = ReceiverConfig.model_validate(given)
        dispatcher = Dispatcher(
            database, {"oncall": Receiver(notifier("oncall", config), config)}, Options(clock=office.clock)
        )
        office.see(0)
        dispatcher.turn()
        office.see(1, "healthy")
        dispatcher.turn()
        assert [r.path for r in server.taken] == ["/api/chat.postMessage", "/api/chat.update"]
        assert server.taken[1].json["ts"] == "1700000000.000100"
        assert server.taken[0].headers["authorization"] == "Bearer xoxb-not-real"


def test_old_rows_are_forgotten_but_not_the_last(database: Database) -> None:
    """Pruning leaves the last row of each alert, which reminders need."""
    from mlhealth.store import outbox

    with receiver() as server:
        office = Office(database, server)
        for n, status in enumerate(["critical", "healthy", "critical"]):
            office.see(n, status)
            office.dispatcher.turn()
        with database.begin() as connection:
            assert outbox.prune(connection, office.clock.now() + 1) == 2
    assert office.states() == {"delivered": 1}


def test_a_replaced_notice_keeps_its_alert(database: Database) -> None:
    """A notice that says the same with another key is another row: keys alone decide."""
    with receiver() as server:
        office = Office(database, server)
        notice = office.see(0).notices[0]
        with database.begin() as connection:
            alert_tables.enqueue(connection, [notice, replace(notice, key="other")], NOW)
        office.dispatcher.turn()
        assert office.states() == {"superseded": 1, "delivered": 1}
