"""Champion and challenger under a promotion policy: the comparison alone lets the better one take over, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from mlhealth import app, report_json
from mlhealth.alerts.mlflow_registry import MlflowRegistry
from mlhealth.alerts.model_registry import ModelRegistry
from mlhealth.clock import DAY, HOUR, ManualClock
from mlhealth.config.promotion import PromotionConfig
from mlhealth.config.receivers import MlflowConfig
from mlhealth.config.service import Config
from mlhealth.errors import ConfigError
from mlhealth.records import HealthScore, HealthStatus
from mlhealth.store import audit, markers
from mlhealth.store.alert_tables import alerts, outbox
from mlhealth.store.database import Database
from mlhealth.store.schema import ensure
from mlhealth.store.tables import model_versions, reports
from mlhealth.versions.promotion import Hand, Promotion
from mlhealth.versions.steward import Steward
from tests.alert_rules import window
from tests.strict_mlflow import Mlflow, Registered
from tests.strict_receiver import Reply, receiver

MODEL = "loan-default"
NOW = 1_800_000_000_000_000
POLICY = PromotionConfig(windows=4, margin=0.01, rollback=True, notify=("oncall",))


class Field:
    """A store in which versions 3 and 4 answer side by side, and a steward who looks when told to."""

    def __init__(self, database: Database, policy: PromotionConfig, registry: ModelRegistry | None) -> None:
        self.database, self.clock = database, ManualClock(NOW)
        promotion = Promotion(database, registry, self.clock)
        self.steward = Steward(database, lambda model: policy, promotion, self.clock)
        self.windows = 0
        for age, version in enumerate("34"):
            row = {"model": MODEL, "version": version, "state": "live", "created": NOW + age}
            with database.begin() as connection:
                connection.execute(insert(model_versions).values(row))

    def close(self, count: int, three: float, four: float, status: str = "healthy") -> None:
        """Close windows in which the versions are estimated so; `status` is version 4's."""
        for _ in range(count):
            self.clock.advance(HOUR)
            self._write("3", three, "healthy")
            self._write("4", four, status)
            self.windows += 1

    def look(self) -> list[str]:
        """Let the steward look once; return what was decided."""
        self.clock.advance(HOUR)
        return [f"{decision.kind}: {decision.reason}" for decision in self.steward.turn()]

    @property
    def champion(self) -> str | None:
        """The champion."""
        with self.database.read() as connection:
            return next(iter(markers.champions(connection, MODEL)), None)

    def _write(self, version: str, value: float, status: str) -> None:
        report = window(self.windows, status, version=version)
        accuracy = replace(report.estimates["accuracy"], value=value, lower=value - 0.02, upper=value + 0.02)
        health = HealthScore(99.0, HealthStatus(status), "accuracy", 0.05, None)
        report = replace(report, estimates={"accuracy": accuracy}, health=health)
        key = {name: getattr(report.key, name) for name in ("model", "version", "segment", "start", "end")}
        row = key | {
            "revision": 0, "baseline": report.baseline, "latest": True, "final": True, "rows": report.rows,
            "status": status, "metric": "accuracy", "report": report_json.to_data(report),
            "created": self.clock.now(),
        }  # fmt: skip
        with self.database.begin() as connection:
            connection.execute(insert(reports).values(row))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    opened = Database.open(f"sqlite:///{tmp_path}/mlhealth.db")
    ensure(opened)
    yield opened
    opened.close()


def test_a_better_challenger_takes_over_once_and_is_told(database: Database) -> None:
    """After enough common windows the alias moves; marker, audit and one piece of news say why, for a day."""
    mlflow = Mlflow({MODEL: Registered({"3": {}, "4": {}}, {"champion": "3"})})
    with receiver(mlflow.judge) as server:
        field = Field(database, POLICY, MlflowRegistry(MlflowConfig.model_validate({"url": server.url})))
        field.close(3, three=0.80, four=0.90)
        assert field.look() == ["stay: 3 of 4 common windows have closed"]
        assert field.look() == []
        field.close(1, three=0.80, four=0.90)
        (told,) = field.look()
        assert told.startswith("promote: estimated accuracy 0.900 of version 4 against 0.800 of 3")
        assert mlflow.models[MODEL].aliases == {"champion": "4"}
        field.close(1, three=0.80, four=0.90)
        assert field.look() == ["stay: 1 of 4 common windows have closed"]
    with database.read() as connection:
        before, marker = markers.between(connection, MODEL, 0, 2 * NOW)
        (sent,) = connection.execute(select(outbox.c.receiver, outbox.c.notice))
        acts = [row["action"] for row in audit.export(connection)]
    assert (before.version, marker.kind, marker.version, marker.by) == ("3", "promote", "4", "mlhealth")
    assert sent.receiver == "oncall"
    assert "version 4 of loan-default replaced 3 as champion" in sent.notice
    assert acts == ["version.promote"] * 2
    field.clock.advance(2 * DAY)
    field.look()
    with database.read() as connection:
        assert connection.execute(select(alerts.c.state)).scalar_one() == "resolved"


@pytest.mark.parametrize(
    ("three", "four", "status", "reason"),
    [
        (0.85, 0.86, "healthy", "cannot tell apart by accuracy"),
        (0.90, 0.80, "healthy", "challenger worse by accuracy"),
        (0.80, 0.90, "critical", "better by accuracy, but its own health is critical"),
        (0.800, 0.835, "healthy", "surely better by 0.00672 only, the policy asks for 0.01"),
    ],
)
def test_what_is_not_surely_better_stays_a_challenger(
    database: Database, three: float, four: float, status: str, reason: str
) -> None:
    """Too small a difference, a worse one, a sick challenger: nothing moves, and the reason is one line."""
    field = Field(database, POLICY, None)
    field.close(4, three, four, status)
    assert field.look() == [f"stay: {reason}"]
    assert field.champion is None


def test_the_version_before_comes_back_when_it_is_better(database: Database) -> None:
    """A champion that does worse than its predecessor on new common windows is rolled back."""
    field = Field(database, POLICY, None)
    field.close(4, three=0.80, four=0.90)
    field.look()
    assert field.champion == "4"
    field.close(4, three=0.88, four=0.75)
    (told,) = field.look()
    assert told.startswith("rollback: ")
    assert field.champion == "3"
    with database.read() as connection:
        kinds = [m.kind for m in markers.between(connection, MODEL, 0, 2 * NOW)]
    assert kinds == ["promote", "promote", "rollback"]


def test_without_leave_to_roll_back_a_person_must(database: Database) -> None:
    """`rollback: false` leaves a worse champion where it is."""
    field = Field(database, POLICY.model_copy(update={"rollback": False}), None)
    field.close(4, three=0.80, four=0.90)
    field.look()
    field.close(4, three=0.88, four=0.75)
    assert field.look() == ["stay: the policy does not roll back"]
    assert field.champion == "4"


def test_what_another_process_did_is_not_done_again(database: Database) -> None:
    """Two processes that decide the same leave one marker."""
    acts = Promotion(database, None, ManualClock(NOW))
    for _ in range(2):
        acts.crown(MODEL, "4", "promote", Hand("mlhealth", "better"))
    with database.read() as connection:
        assert len(markers.between(connection, MODEL, 0, 2 * NOW)) == 1


def test_a_registry_that_is_down_delays_the_change(database: Database) -> None:
    """The champion changes only with the registry's alias; the next look tries again."""
    with receiver(lambda request: Reply(503)) as server:
        config = MlflowConfig.model_validate({"url": server.url, "timeout": "2s"})
        field = Field(database, POLICY, MlflowRegistry(config))
        Promotion(database, None, field.clock).crown(MODEL, "3", "promote", Hand("kim", "first"))
        field.close(4, three=0.80, four=0.90)
        for _ in range(2):
            with pytest.raises(Exception, match="503"):
                field.look()
        assert field.champion == "3"


def test_a_policy_that_tells_nobody_known_is_refused(tmp_path: Path) -> None:
    """The key and the missing receiver are named at start."""
    config = Config.model_validate(
        {"store": f"sqlite:///{tmp_path}/s.db", "models": {MODEL: {"promotion": {"notify": ["nobody"]}}}}
    )
    with pytest.raises(
        ConfigError, match=r"models\.loan-default\.promotion\.notify: there is no receiver nobody"
    ):
        app.build(config)
    with pytest.raises(ValueError, match="allow promote or rollback"):
        PromotionConfig(promote=False)
