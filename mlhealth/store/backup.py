"""Copies of a SQLite store, taken while it is in use, and put back; PostgreSQL has its own tools for both."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from mlhealth.errors import ConfigError, ConflictError, StoreUnavailable
from mlhealth.store.database import Database

PAGES = 1_000
"""So many pages are copied at a time; writers get their turn in between."""


def backup(database: Database, target: Path) -> int:
    """Copy the store to a file, whole or not at all, and return its size; raises ConflictError where it exists."""
    source = _file(database, "pg_dump --format=custom --file=mlhealth.dump URL")
    if target.exists():
        raise ConflictError(f"{target}: is there already; name another file")
    if not source.is_file():
        raise ConfigError(f"{source}: there is no store; check `store` in the configuration")
    part = target.with_name(f".{target.name}.part")
    try:
        with closing(sqlite3.connect(source)) as origin, closing(sqlite3.connect(part)) as copy:
            origin.backup(copy, pages=PAGES)
            copy.execute("PRAGMA journal_mode=DELETE")
        check(part)
        part.replace(target)
    except (sqlite3.Error, OSError) as error:
        part.unlink(missing_ok=True)
        raise StoreUnavailable(f"{target}: the backup failed: {error}") from error
    return target.stat().st_size


def restore(database: Database, source: Path) -> None:
    """Put a backup in the store's place; the caller has claimed the store. Raises ConfigError for a damaged one."""
    target = _file(database, "createdb a new database, then pg_restore --dbname=URL mlhealth.dump")
    try:
        check(source)
    except (sqlite3.Error, OSError) as error:
        raise ConfigError(f"{source}: is no backup that can be read: {error}") from error
    part = target.with_name(f".{target.name}.restoring")
    with closing(sqlite3.connect(source)) as origin, closing(sqlite3.connect(part)) as copy:
        origin.backup(copy)
    database.engine.dispose()
    part.replace(target)
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)


def check(file: Path) -> None:
    """Raise where a file is no whole SQLite store of ours."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there")
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        found = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(f"it is damaged: {found}")
        connection.execute("SELECT version_num FROM alembic_version").fetchone()


def _file(database: Database, tool: str) -> Path:
    name = database.engine.url.database
    if not database.is_sqlite or not name or name == ":memory:":
        raise ConfigError(f"this is for SQLite stores; for PostgreSQL use its own tool: {tool}")
    return Path(name)
