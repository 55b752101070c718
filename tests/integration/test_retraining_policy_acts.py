"""What follows a retraining's verdict, over real sockets: promotion, rollback, the alert that it did not help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from mlhealth.alerts.dispatch import Options as DispatchOptions
from mlhealth.alerts.mlflow_registry import MlflowRegistry
from mlhealth.alerts.retraining.adopted import difference
from mlhealth.alerts.service import AlertService
from mlhealth.clock import HOUR, MINUTE, from_iso, to_iso
from mlhealth.config.receivers import MlflowConfig
from mlhealth.errors import ConfigError
from mlhealth.quiet_hours import QuietHours
from mlhealth.records import RetrainingStatus
from mlhealth.schema.model_schema import Task
from mlhealth.store.alert_tables import alerts, outbox
from mlhealth.store.database import Database
from mlhealth.store.markers import between, champions
from tests.alert_rules import store, window
from tests.integration.test_retraining import Gpu, House
from tests.loans import loan_baseline
from tests.strict_mlflow import Mlflow, Registered
from tests.strict_receiver import Reply, receiver

MODEL = "loan-default"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    opened = store(tmp_path)
    yield opened
    opened.close()


@contextmanager
def house_with(database: Database, mlflow: Mlflow, gpu: Gpu, **settings: object) -> Iterator[House]:
    """A follower whose training service and registry answer over sockets."""
    with receiver(gpu.judge) as server, receiver(mlflow.judge) as registry:
        config = MlflowConfig.model_validate({"url": registry.url, "timeout": "2s"})
        yield House(database, server, MlflowRegistry(config), **settings)


def registered(champion: str) -> Mlflow:
    """A registry with versions 3 and 4, of which one is deployed."""
    return Mlflow({MODEL: Registered({"3": {}, "4": {}}, {"champion": champion})})


def trained(house: House, gpu: Gpu, status: str) -> str:
    """Ask, train version 4, and let its three windows have a status; return the request's id."""
    request = house.ask(window(0))
    gpu.status = {"status": "succeeded", "version": "4"}
    house.turn()
    house.turn()
    for n in range(1, 4):
        house.see(n, "4", status)
    house.turn()
    return request.id


def test_a_version_that_recovered_is_promoted(database: Database) -> None:
    """The alias moves to the new version; a marker, a tag and the champion say so."""
    mlflow, gpu = registered("3"), Gpu()
    with house_with(database, mlflow, gpu, promote=True) as house:
        request = trained(house, gpu, "healthy")
        now = house.clock.now()
    assert mlflow.models[MODEL].aliases == {"champion": "4"}
    assert mlflow.models[MODEL].versions["4"] == {
        "mlhealth.request": request,
        "mlhealth.verdict": "recovered",
    }
    with database.read() as connection:
        (marker,) = between(connection, MODEL, 0, now + 1)
        assert champions(connection, MODEL) == ["4"]
    assert (marker.kind, marker.version, marker.by) == ("promote", "4", "mlhealth")


def test_a_version_that_did_not_help_is_rolled_back_and_told(database: Database) -> None:
    """The alias goes back to the old version, and those who got the page hear that the training did not help."""
    mlflow, gpu = registered("4"), Gpu()
    with house_with(database, mlflow, gpu, rollback=True) as house:
        trained(house, gpu, "critical")
    assert mlflow.models[MODEL].aliases == {"champion": "3"}
    with database.read() as connection:
        told = connection.execute(select(alerts).where(alerts.c.rule == "RetrainingDidNotHelp")).one()
        waiting = connection.execute(
            select(outbox.c.receiver).where(outbox.c.fingerprint == told.fingerprint)
        )
        assert [row.receiver for row in waiting] == ["oncall"]
    assert told.state == "firing"
    assert "did not help: version 4" in told.annotations["summary"]


def test_old_and_new_are_judged_on_the_windows_that_both_answered(database: Database) -> None:
    """A new version that is surely worse than the old one beside it did not help, however healthy it looks."""
    mlflow, gpu = registered("4"), Gpu()
    with house_with(database, mlflow, gpu, rollback=True) as house:
        request = house.ask(window(0))
        gpu.status = {"status": "succeeded", "version": "4"}
        house.turn()
        house.turn()
        for n in range(1, 4):
            house.see(n, "3", "healthy", accuracy=0.90)
            house.see(n, "4", "healthy", accuracy=0.80)
        house.turn()
        row = house.row(request)
    assert row.verdict == "not recovered"
    assert row.detail.startswith("estimated accuracy 0.800 of version 4 against 0.900 of 3 (difference ")
    assert row.detail.endswith("on 3 common windows: challenger worse")
    assert mlflow.models[MODEL].aliases == {"champion": "3"}


def test_what_somebody_moved_meanwhile_is_left_alone(database: Database) -> None:
    """A rollback does not undo a person's own deployment, and says why."""
    mlflow, gpu = registered("3"), Gpu()
    mlflow.models[MODEL].versions["5"] = {}
    mlflow.models[MODEL].aliases["champion"] = "5"
    with house_with(database, mlflow, gpu, rollback=True) as house:
        request = trained(house, gpu, "critical")
        row = house.row_named(request)
    assert row.action == "not rolled back: version 5 is deployed, neither 4 nor 3"
    assert mlflow.models[MODEL].aliases == {"champion": "5"}


def test_a_registry_that_is_down_is_tried_again_then_told(database: Database) -> None:
    """The verdict waits for the registry for `give_up`, then stands with the reason it was not told."""
    gpu = Gpu()
    with receiver(gpu.judge) as server, receiver(lambda request: Reply(503)) as down:
        config = MlflowConfig.model_validate({"url": down.url, "timeout": "2s"})
        house = House(database, server, MlflowRegistry(config), promote=True, give_up="30m")
        request = house.ask(window(0))
        gpu.status = {"status": "succeeded", "version": "4"}
        house.turn()
        house.turn()
        for n in range(1, 4):
            house.see(n, "4", "healthy")
        house.turn()
        assert house.row(request).verdict is None
        for _ in range(8):
            house.turn(6 * MINUTE)
        row = house.row(request)
    assert (row.status, row.verdict) == (RetrainingStatus.SUCCEEDED, "recovered")
    assert "the registry was not told" in row.action
    assert len(down.seen) >= 2


def test_a_policy_without_a_registry_is_refused_at_start(database: Database) -> None:
    """`rollback` needs a registry; the key is named."""
    training = {"gpu": {"webhook": {"url": "http://127.0.0.1:1"}, "rollback": True}}
    with pytest.raises(ConfigError, match=r"training\.gpu\.rollback: needs a `registry:`"):
        AlertService(database, {}, training, DispatchOptions())


def test_requests_wait_for_the_end_of_quiet_hours(database: Database) -> None:
    """Nothing is submitted in the quiet hours; the request says until when it waits, and then goes out."""
    gpu = Gpu()
    with receiver(gpu.judge) as server:
        # The house's clock begins at 08:00 UTC.
        house = House(database, server, quiet_hours="07:30-09:00 UTC")
        request = house.ask(window(0))
        house.turn()
        row = house.row(request)
        assert (row.status, gpu.asked) == (RetrainingStatus.REQUESTED, [])
        assert row.detail.endswith("T09:00:00Z")
        house.turn(HOUR)
        assert gpu.asked == [request.id]


@pytest.mark.parametrize(
    ("text", "moment", "until"),
    [
        ("22:00-06:00", "2026-01-01T23:00:00Z", "2026-01-02T06:00:00Z"),
        ("22:00-06:00", "2026-01-01T05:59:59Z", "2026-01-01T06:00:00Z"),
        ("22:00-06:00", "2026-01-01T06:00:00Z", None),
        ("09:00-17:00 Europe/Berlin", "2026-07-01T08:00:00Z", "2026-07-01T15:00:00Z"),
        ("09:00-17:00 Europe/Berlin", "2026-07-01T15:00:00Z", None),
    ],
)
def test_quiet_hours_are_of_the_zones_own_clock(text: str, moment: str, until: str | None) -> None:
    """Nights reach into the next day, and summer time counts."""
    found = QuietHours.parse(text).until(from_iso(moment))
    assert (None if found is None else to_iso(found)) == until


@pytest.mark.parametrize(
    "text", ["22-6", "25:00-06:00", "10:00-10:00", "22:00-06:00 Mars/Base", "22:75-06:00"]
)
def test_wrong_quiet_hours_are_told(text: str) -> None:
    """A mistake is one line."""
    with pytest.raises(ValueError, match=r"quiet hours|time zone"):
        QuietHours.parse(text)


def test_a_baseline_of_another_schema_is_told() -> None:
    """Features may come and go between versions; another task cannot be compared, and one line says so."""
    old = loan_baseline().schema
    same = replace(old, version="4", features=old.features[:1])
    assert difference(old, same) is None
    other = replace(old, version="4", task=Task.REGRESSION, classes=())
    assert "version 4 is of another schema: task regression, was binary" in str(difference(old, other))
