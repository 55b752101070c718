"""A retraining from request to verdict, with a training service over real sockets and reports in a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert

from mlhealth import report_json
from mlhealth.alerts.engine import step
from mlhealth.alerts.model_registry import ModelRegistry
from mlhealth.alerts.retraining.base import Progress
from mlhealth.alerts.retraining.follower import Follower, Options, Service, report_progress
from mlhealth.alerts.retraining.registry import training_service
from mlhealth.alerts.rules import parse_rules
from mlhealth.clock import DAY, HOUR, MINUTE, SECOND, ManualClock
from mlhealth.config.receivers import TrainingConfig
from mlhealth.errors import ConflictError, NotFoundError
from mlhealth.records import RetrainingRequest, RetrainingStatus, WindowReport
from mlhealth.store import audit, retraining
from mlhealth.store.alert_tables import record
from mlhealth.store.database import Database
from mlhealth.store.tables import reports
from tests.alert_rules import DESIGN_RULE, design_rules, store, window
from tests.strict_receiver import Reply, Request, StrictReceiver, receiver

NOW = 1_800_000_000 * SECOND
MADE_UP = {
    "revision": 0, "baseline": "b", "latest": True, "final": True, "rows": 10, "metric": "accuracy",
}  # fmt: skip


class Gpu:
    """A training service that answers as it is told."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = {"status": "running"}
        self.asked: list[str] = []

    def judge(self, request: Request) -> Reply:
        """Take requests, and tell the status."""
        if request.method == "GET":
            return Reply(200, json.dumps(self.status).encode())
        self.asked.append(request.headers["idempotency-key"])
        return Reply(202, b'{"job": "j1", "status_url": "/jobs/j1"}')


class House:
    """A store, a manual clock, and a follower of one training service."""

    def __init__(
        self,
        database: Database,
        server: StrictReceiver,
        registry: ModelRegistry | None = None,
        **settings: Any,
    ) -> None:
        self.database = database
        self.clock = ManualClock(NOW)
        config = TrainingConfig.model_validate(
            {"webhook": {"url": server.url, "timeout": "5s"}, "poll": "1m", **settings}
        )
        services = {"gpu": Service(training_service("gpu", config), config)}
        self.counted: list[str] = []
        options = Options(
            registry,
            self.clock,
            np.random.default_rng(1),
            lambda service, outcome: self.counted.append(outcome),
        )
        self.follower = Follower(database, services, options)

    def ask(self, report: WindowReport, rules: str = DESIGN_RULE) -> RetrainingRequest:
        """Record the request of a critical window."""
        done = step(parse_rules(rules), report)
        with self.database.begin() as connection:
            record(connection, done, self.clock.now())
        return done.requests[0]

    def turn(self, pause: int = MINUTE) -> None:
        """Let time pass, and the follower work."""
        self.clock.advance(pause)
        self.follower.turn()

    def row(self, request: RetrainingRequest) -> Any:
        """Return the request as the store has it."""
        return self.row_named(request.id)

    def row_named(self, request: str) -> Any:
        """Return the request of that id as the store has it."""
        with self.database.read() as connection:
            return retraining.get(connection, request)

    def see(self, n: int, version: str, status: str, accuracy: float = 0.85) -> None:
        """Put the report of the n-th hour of a version into the store."""
        report = window(n, status, version=version)
        estimate = replace(
            report.estimates["accuracy"], value=accuracy, lower=accuracy - 0.02, upper=accuracy + 0.02
        )
        report, key = replace(report, estimates={"accuracy": estimate}), report.key
        row = {
            "created": self.clock.now(),
            "model": key.model,
            "version": version,
            "segment": "",
            "start": key.start,
            "end": key.end,
            "report": report_json.to_data(report),
        }
        with self.database.begin() as connection:
            connection.execute(insert(reports).values(row | {"status": status} | MADE_UP))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    opened = store(tmp_path)
    yield opened
    opened.close()


def test_from_request_to_recovery(database: Database) -> None:
    """A request is sent once, followed, and judged by the new version's windows; every step is in the audit trail."""
    gpu = Gpu()
    with receiver(gpu.judge) as server:
        house = House(database, server)
        request = house.ask(window(0))
        house.turn()
        assert house.row(request).status == RetrainingStatus.SUBMITTED
        house.turn()
        assert house.row(request).status == RetrainingStatus.RUNNING
        gpu.status = {"status": "succeeded", "version": "4", "gpu_seconds": 90}
        house.turn()
        assert house.row(request).new_version == "4"
        house.turn()
        assert house.row(request).verdict is None
        for n in range(1, 4):
            house.see(n, "4", "healthy")
        house.turn()
    row = house.row(request)
    assert (row.verdict, row.recovered, row.gpu_seconds) == ("recovered", window(1).key.end, 90)
    assert row.time_to_recovery == HOUR
    assert house.counted == ["submitted", "running", "succeeded", "recovered"]
    assert gpu.asked == [request.id]
    with database.read() as connection:
        actions = [json.loads(line["detail"]) for line in audit.export(connection)]
        assert audit.verify(connection).ok
    assert [a.get("status", a.get("verdict")) for a in actions] == [
        "submitted",
        "running",
        "succeeded",
        "recovered",
    ]


def test_a_new_version_that_is_no_better_is_told(database: Database) -> None:
    """A success whose version stays critical is judged not recovered."""
    gpu = Gpu()
    with receiver(gpu.judge) as server:
        house = House(database, server)
        request = house.ask(window(0))
        gpu.status = {"status": "succeeded", "version": "4"}
        house.turn()
        house.turn()
        for n in range(1, 4):
            house.see(n, "4", "critical")
        house.turn()
        assert house.row(request).verdict == "not recovered"


def test_success_without_a_new_version_is_told(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """A service that reports success while only the old version answers is found out, loudly."""
    gpu = Gpu()
    with receiver(gpu.judge) as server:
        house = House(database, server)
        request = house.ask(window(0))
        for n in range(1, 7):
            house.see(n, "3", "critical")
        gpu.status = {"status": "succeeded"}
        house.turn()
        house.turn()
        house.turn()
        assert house.row(request).verdict is None
        house.clock.advance(HOUR)
        for n in range(7, 13):
            house.see(n, "3", "critical")
        house.turn()
        assert house.row(request).verdict == "no new version"
    assert any(r.levelname == "ERROR" and "no new version" in r.message for r in caplog.records)


def test_a_service_that_accepts_and_forgets_is_given_up(database: Database) -> None:
    """A job that never ends is failed after `forget`."""
    gpu = Gpu()
    with receiver(gpu.judge) as server:
        house = House(database, server, forget="2d")
        request = house.ask(window(0))
        house.turn()
        house.turn(2 * DAY + HOUR)
        row = house.row(request)
        assert (row.status, "no end within 2d" in row.detail) == (RetrainingStatus.FAILED, True)


def test_an_unreachable_service_is_tried_again_then_failed(database: Database) -> None:
    """Submission is retried with backoff under one idempotency key, and fails after `give_up`."""
    with receiver(lambda request: Reply(503)) as server:
        house = House(database, server, give_up="30m")
        request = house.ask(window(0))
        for _ in range(12):
            house.turn(5 * MINUTE)
        assert house.row(request).status == RetrainingStatus.FAILED
        assert 3 <= len(server.seen) <= 8
        assert {r.headers["idempotency-key"] for r in server.seen} == {request.id}


def test_one_training_of_a_model_at_a_time(database: Database) -> None:
    """A second request of a model that is being trained is refused with the first one's name."""
    gpu = Gpu()
    with receiver(gpu.judge) as server:
        house = House(database, server)
        first = house.ask(window(0))
        house.turn()
        second = house.ask(window(5, version="4"))
        house.turn()
        row = house.row(second)
        assert (row.status, first.id in row.detail) == (RetrainingStatus.REFUSED, True)
        assert gpu.asked == [first.id]


def test_a_person_must_approve_where_the_rule_says_so(database: Database) -> None:
    """A request with `approval: true` waits; approved it goes out, rejected it does not, and neither twice."""
    careful = DESIGN_RULE.replace("retrain: gpu", "retrain: {service: gpu, approval: true}")
    gpu = Gpu()
    with receiver(gpu.judge) as server:
        house = House(database, server)
        request, other = house.ask(window(0), careful), house.ask(window(0, model="fraud"), careful)
        house.turn()
        assert gpu.asked == []
        with database.begin() as connection:
            retraining.approve(connection, request.id, "kim", house.clock.now())
            retraining.reject(connection, other.id, "kim", "it is a holiday", house.clock.now())
        house.turn()
        assert gpu.asked == [request.id]
        assert house.row(other).status == RetrainingStatus.REFUSED
    with database.begin() as connection:
        with pytest.raises(ConflictError, match="does not await approval"):
            retraining.approve(connection, other.id, "kim", NOW)
        with pytest.raises(NotFoundError):
            retraining.approve(connection, "nothing", "kim", NOW)


def test_a_service_may_call_back(database: Database) -> None:
    """What a service posts to the callback address ends the request; what comes later changes nothing."""
    with receiver(lambda request: Reply(202, b"")) as server:
        house = House(database, server)
        request = house.ask(window(0))
        house.turn()
        ended, late = (
            Progress(RetrainingStatus.FAILED, "out of memory"),
            Progress(RetrainingStatus.SUCCEEDED, "never mind"),
        )
        for progress in (ended, late):
            with database.begin() as connection:
                report_progress(connection, request.id, progress, NOW)
        row = house.row(request)
        assert (row.status, row.detail) == (RetrainingStatus.FAILED, "out of memory")


def test_a_refused_request_is_kept_and_never_sent(database: Database) -> None:
    """What the policy refused is in the store with its reason."""
    from mlhealth.records import Cause

    gpu = Gpu()
    with receiver(gpu.judge) as server:
        house = House(database, server)
        request = house.ask(window(0, cause=Cause.BROKEN_INPUT))
        house.turn()
        assert house.row(request).status == RetrainingStatus.REFUSED
        assert "mend the data first" in house.row(request).reason
        assert gpu.asked == []
    assert design_rules().rules[0].retrain is not None
