"""mlhealth pages about itself: dead workers, partitions nobody reads, blindness."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from mlhealth.alerts.dispatch import Options
from mlhealth.alerts.service import AlertService, More
from mlhealth.alerts.watchdog import Scene, Watchdog, findings
from mlhealth.clock import HOUR, MINUTE, SECOND, ManualClock
from mlhealth.config.receivers import WatchdogConfig
from mlhealth.errors import ConfigError
from mlhealth.store import heartbeats
from mlhealth.store.alert_tables import outbox
from mlhealth.store.database import Database
from mlhealth.store.heartbeats import Heartbeat
from mlhealth.store.tables import partitions
from tests.alert_rules import store
from tests.strict_receiver import Reply, receiver

NOW = 1_800_000_000 * SECOND


class House:
    """A store with two partitions, and a watchdog with a manual clock."""

    def __init__(self, database: Database, config: WatchdogConfig | None = None) -> None:
        self.database = database
        self.clock = ManualClock(NOW)
        self.watchdog = Watchdog(database, config or WatchdogConfig(), ["oncall"], self.clock)
        row = {"topic": "log", "next_offset": 10, "progressed": NOW, "owner": "a"}
        with database.begin() as connection:
            connection.execute(insert(partitions).values([row | {"partition": n} for n in range(2)]))

    def beat(self, worker: str, *held: str, started: int = NOW) -> None:
        """Let a worker give a sign of life."""
        with self.database.begin() as connection:
            heartbeats.beat(connection, Heartbeat(worker, started, self.clock.now(), held))

    def look(self, pause: int = 0) -> list[str]:
        """Let time pass; return the rules that fire."""
        self.clock.advance(pause)
        return sorted(trouble.rule for trouble in self.watchdog.turn())

    def told(self) -> list[str]:
        """Return what waits in the outbox."""
        with self.database.read() as connection:
            return [row.kind for row in connection.execute(select(outbox.c.kind).order_by(outbox.c.id))]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """An empty store's house."""
    database = store(tmp_path)
    yield House(database)
    database.close()


def test_a_dead_worker_is_told_once_and_its_replacement_ends_it(house: House) -> None:
    """Killed without a word, a worker pages after a minute; the one that takes over resolves that."""
    house.beat("a", "log/0", "log/1")
    assert house.look(30 * SECOND) == []
    assert house.look(40 * SECOND) == ["WorkerDead"]
    assert house.look(10 * SECOND) == ["WorkerDead"]
    assert house.told() == ["firing"]
    house.beat("b", "log/0", "log/1", started=house.clock.now())
    assert house.look() == []
    assert house.told() == ["firing", "resolved"]
    with house.database.read() as connection:
        assert [w.worker for w in heartbeats.all_of(connection)] == ["b"]


def test_a_partition_that_no_living_worker_holds_is_told(house: House) -> None:
    """Of two workers one lives and holds one partition: the other partition pages until somebody takes it."""
    for _ in range(4):
        house.beat("a", "log/0")
        house.look(30 * SECOND)
    house.beat("a", "log/0")
    assert house.look() == ["PartitionStalled"]
    house.beat("a", "log/0", "log/1")
    assert house.look() == []
    assert house.told() == ["firing", "resolved"]


def test_no_worker_at_all_is_blindness(house: House) -> None:
    """Workers that ended in order leave no sign; after five minutes without any the monitor says that it is blind."""
    assert house.look() == []
    assert house.look(4 * MINUTE) == []
    assert house.look(2 * MINUTE) == ["MonitorBlind"]
    house.beat("a", "log/0", "log/1")
    assert house.look() == []


def test_a_store_that_never_saw_a_partition_is_not_blind() -> None:
    """A service that was never given anything to read has nothing to be blind to."""
    assert findings(Scene(), WatchdogConfig(), NOW) == []


def test_a_dead_worker_that_nobody_replaces_is_old_news_after_a_day(house: House) -> None:
    """Its row goes, so that a smaller deployment does not page for ever."""
    house.beat("a", "log/0", "log/1")
    assert house.look(HOUR) == ["WorkerDead"]
    assert house.look(24 * HOUR) == ["MonitorBlind"]
    with house.database.read() as connection:
        assert heartbeats.all_of(connection) == []


def test_the_dead_mans_switch_hears_of_mlhealth_while_it_sees(tmp_path: Path) -> None:
    """A call a minute while a worker lives, none while nobody reads anything, and again when somebody does."""
    database = store(tmp_path)
    with receiver() as server:
        config = WatchdogConfig.model_validate({"dead_man": {"url": f"{server.url}/ping/secret"}})
        house = House(database, config)
        for _ in range(4):
            house.beat("a", "log/0", "log/1")
            house.watchdog.watch()
            house.clock.advance(30 * SECOND)
        assert [request.path for request in server.taken] == ["/ping/secret"] * 2
        house.clock.advance(HOUR)
        for _ in range(3):
            house.clock.advance(MINUTE)
            house.watchdog.watch()
        assert len(server.taken) == 2
        house.beat("b", "log/0", "log/1", started=house.clock.now())
        house.watchdog.watch()
        assert len(server.taken) == 3
    database.close()


def test_a_switch_that_cannot_be_reached_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Calls that fail stop nothing, and one line says so, without the secret path."""
    database = store(tmp_path)
    with receiver(lambda request: Reply(500)) as server:
        config = WatchdogConfig.model_validate({"dead_man": {"url": f"{server.url}/ping/secret"}})
        house = House(database, config)
        for _ in range(3):
            house.beat("a", "log/0", "log/1")
            house.watchdog.watch()
            house.clock.advance(MINUTE)
        assert len(server.seen) == 3
    (line,) = [r.getMessage() for r in caplog.records if "dead_man" in r.getMessage()]
    assert "answered 500" in line
    assert "secret" not in line
    database.close()


def test_a_watchdog_with_an_unknown_receiver_is_refused(house: House) -> None:
    """The key is named at start."""
    config = WatchdogConfig(notify=("nobody",))
    with pytest.raises(ConfigError, match=r"watchdog\.notify: there is no receiver nobody"):
        AlertService(house.database, {}, {}, Options(), More(watchdog=config))
