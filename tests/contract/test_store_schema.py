"""The migrations make the tables that the code works with, on both stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from mlhealth.errors import ConfigError, ConflictError, StoreUnavailable
from mlhealth.store import schema
from mlhealth.store.database import Database
from mlhealth.store.months import IS_PART


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty store of each kind."""
    sqlite = f"sqlite:///{tmp_path / 'store.db'}"
    opened = Database.open(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres"))
    yield opened
    opened.close()


def _is_no_part(name: str | None, kind: str, _parents: object) -> bool:
    """Return whether autogenerate shall look at it: partitions of a table are no tables of their own."""
    return kind != "table" or name is None or IS_PART.fullmatch(name) is None


def test_migrations_and_tables_agree(database: Database) -> None:
    """An upgraded store has exactly the tables, columns and indexes that the code declares."""
    schema.upgrade(database)
    with database.read() as connection:
        opts = {"compare_type": not database.is_sqlite, "include_name": _is_no_part}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, schema.all_tables()) == []


def test_every_step_is_known() -> None:
    """The code names the same steps as the folder of migrations, the newest first."""
    steps = ScriptDirectory.from_config(schema.alembic_config()).walk_revisions()
    assert tuple(step.revision for step in steps) == schema.KNOWN


def test_an_upgrade_is_done_once(database: Database) -> None:
    """Upgrading again, or making ready what is ready, changes nothing."""
    assert schema.upgrade(database) == (None, schema.NEWEST)
    assert schema.upgrade(database) == (schema.NEWEST, schema.NEWEST)
    schema.ensure(database)


def test_a_store_of_a_newer_version_is_refused(database: Database) -> None:
    """A schema that this version does not know is left alone, with one line that says what to do."""
    schema.ensure(database)
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for refuse in (schema.ensure, schema.upgrade):
        with pytest.raises(ConflictError, match="made by a newer mlhealth"):
            refuse(database)


def _add_then(connection: sa.Connection, statement: sa.TextClause) -> None:
    connection.execute(sa.text("INSERT INTO store_settings VALUES ('first', 'x')"))
    connection.execute(statement)


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    """What was written before an error is rolled back with it."""
    schema.ensure(database)
    twice = sa.text("INSERT INTO store_settings VALUES ('a', 'b'), ('a', 'c')")
    with pytest.raises(sa.exc.IntegrityError), database.begin() as connection:
        _add_then(connection, twice)
    with database.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM store_settings")).scalar() == 0


def test_a_second_process_on_a_sqlite_store_is_refused(tmp_path: Path) -> None:
    """A SQLite store serves one process; the second gets a message and can come when the first has gone."""
    first, second = (Database.open(f"sqlite:///{tmp_path / 'store.db'}") for _ in range(2))
    first.claim()
    with pytest.raises(ConflictError, match="another mlhealth process serves"):
        second.claim()
    first.close()
    second.claim()
    second.close()


def test_a_store_that_does_not_answer_can_be_retried() -> None:
    """A database that is away is a recoverable error, in one line without the password."""
    database = Database.open("postgresql://someone:hidden@127.0.0.1:9/nothing")
    with pytest.raises(StoreUnavailable) as caught, database.read():
        pass
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "mysql://a/b", "sqlite+aiosqlite:///x"])
def test_a_wrong_store_is_a_configuration_error(url: str) -> None:
    """Only the two kinds of stores are taken."""
    with pytest.raises(ConfigError, match="store"):
        Database.open(url)
