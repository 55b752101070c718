"""One engine over SQLite or PostgreSQL: transactions, what the two say differently, and their errors as ours."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from mlhealth.errors import ConfigError, ConflictError, StoreUnavailable

_WRITE = "mlhealth_write"
_ROWS_PER_STATEMENT = 500


class Database:
    """A store; every use is one transaction, `begin` for writing and `read` for reading."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._lock: IO[str] | None = None

    @classmethod
    def open(cls, url: str) -> Database:
        """Return the store at an SQLAlchemy URL; raises ConfigError where that is not one of the two kinds."""
        return cls(_engine(_parsed(url)))

    @property
    def is_sqlite(self) -> bool:
        """Whether the store is a file that serves one process."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One writing transaction: all of it or none. Raises StoreUnavailable where a retry can help."""
        with _translated(self.engine.url), self._connect(write=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One reading transaction, which never waits for a writer."""
        with _translated(self.engine.url), self._connect(write=False) as connection, connection.begin():
            yield connection

    @contextmanager
    def _connect(self, *, write: bool) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            yield connection.execution_options(**{_WRITE: write})

    def claim(self) -> None:
        """Become the one process that serves a SQLite store; raises ConflictError where another already does."""
        path = self.engine.url.database
        if not self.is_sqlite or not path or path == ":memory:" or self._lock is not None:
            return
        handle = Path(f"{path}.lock").open("a", encoding="ascii")  # noqa: SIM115 (held for as long as we serve)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            raise ConflictError(
                f"{path}: another mlhealth process serves this SQLite store; stop it, or use PostgreSQL for several"
            ) from None
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        self._lock = handle

    def vacuum(self) -> None:
        """Give the room of deleted rows back to the disk; PostgreSQL does so by itself."""
        if self.is_sqlite:
            with _translated(self.engine.url), self.engine.connect() as connection:
                raw: Any = connection.connection.driver_connection
                raw.execute("VACUUM")

    def close(self) -> None:
        """Let go of every connection and of the claim."""
        self.engine.dispose()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, add: str = "") -> None:
    """Write rows by primary key; `add` names a column whose new value is added to the one that stands there."""
    keys = [column.name for column in table.primary_key]
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    for at in range(0, len(rows), _ROWS_PER_STATEMENT):
        part = [dict(row) for row in rows[at : at + _ROWS_PER_STATEMENT]]
        statement = module.insert(table).values(part)
        others = [name for name in part[0] if name not in keys]
        changes = {name: statement.excluded[name] for name in others}
        if add:
            changes[add] = table.c[add] + statement.excluded[add]
        if changes:
            connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes))
        else:
            connection.execute(statement.on_conflict_do_nothing(index_elements=keys))


def insert_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows whose primary key is not there yet."""
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    for at in range(0, len(rows), _ROWS_PER_STATEMENT):
        part = [dict(row) for row in rows[at : at + _ROWS_PER_STATEMENT]]
        connection.execute(module.insert(table).values(part).on_conflict_do_nothing())


def inserted(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Write a row unless its primary key is there already; return whether it was written."""
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    keys = list(table.primary_key)
    statement = module.insert(table).values(dict(row)).on_conflict_do_nothing().returning(*keys)
    return connection.execute(statement).first() is not None


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(
            f"store: {url!r} is no URL; write sqlite:///mlhealth.db or postgresql+psycopg://…"
        ) from None
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in {"sqlite", "postgresql+psycopg"}:
        raise ConfigError(f"store: {parsed.drivername} is not supported; use sqlite or postgresql+psycopg")
    return parsed


def _engine(url: URL) -> Engine:
    try:
        if url.drivername != "sqlite":
            return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5})
        if url.database and url.database != ":memory:":
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url, connect_args={"timeout": 30})
    except NoSuchModuleError as error:
        raise ConfigError(f"store: {error}; install mlhealth[postgres]") from None
    except ModuleNotFoundError as error:
        raise ConfigError(f"store: {error.name} is not installed; install mlhealth[postgres]") from None
    event.listen(engine, "connect", _sqlite_connected)
    event.listen(engine, "begin", _sqlite_begun)
    return engine


_SQLITE = (
    "page_size=16384",  # of a new file: profiles are blobs of megabytes, which go in by pages
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "busy_timeout=30000",
)


def _sqlite_connected(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in _SQLITE:
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_begun(connection: Connection) -> None:
    write = connection.get_execution_options().get(_WRITE, True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def _translated(url: URL) -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise StoreUnavailable(f"store {url.render_as_string()}: {_first_line(error)}") from error
    except DBAPIError as error:
        if error.connection_invalidated or "read-only" in str(error.orig):
            raise StoreUnavailable(f"store {url.render_as_string()}: {_first_line(error)}") from error
        raise


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
