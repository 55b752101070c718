"""A service that starts before its database waits for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlhealth.config.service import Config
from mlhealth.errors import StoreUnavailable
from mlhealth.starting import LONGEST_PAUSE, build_when_reachable
from tests.servers.postgres import PostgresServer


def config(store: str, folder: Path) -> Config:
    """Return a service that reads a folder."""
    return Config.model_validate({"store": store, "sources": [{"files": {"folder": str(folder)}}]})


def test_a_database_server_that_is_not_there_yet_is_waited_for(
    postgres_server: PostgresServer, postgres: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each try is told in one line with its reason, at growing distances; the service is built once it answers."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            postgres_server.start()

    postgres_server.stop()
    try:
        service = build_when_reachable(config(postgres, tmp_path), sleep)
    finally:
        postgres_server.start()
    assert pauses == [1.0, 2.0, 4.0]
    told = [record.getMessage() for record in caplog.records if record.name == "mlhealth.starting"]
    assert [line.splitlines() for line in told] == [[line] for line in told]
    assert [line.rpartition("; ")[2] for line in told] == [f"trying again in {n} s" for n in (1, 2, 4)]
    assert all("connection" in line for line in told)
    with service.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM reports").scalar() == 0
    service.database.close()


def test_pauses_stay_below_half_a_minute(
    postgres_server: PostgresServer, postgres: str, tmp_path: Path
) -> None:
    """However long the server is away, it is asked at least every 30 seconds."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 7:
            postgres_server.start()

    postgres_server.stop()
    try:
        build_when_reachable(config(postgres, tmp_path), sleep).database.close()
    finally:
        postgres_server.start()
    assert max(pauses) == pauses[-1] == LONGEST_PAUSE


def test_a_file_that_cannot_be_opened_is_told_at_once(tmp_path: Path) -> None:
    """A SQLite store in the place of a folder is a mistake, not a server that is still to come."""
    (tmp_path / "taken.db").mkdir()
    with pytest.raises(StoreUnavailable):
        build_when_reachable(config(f"sqlite:///{tmp_path / 'taken.db'}", tmp_path), lambda _: None)
