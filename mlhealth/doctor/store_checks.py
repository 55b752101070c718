"""The store: whether it answers, has this version's schema, can be written and has room; whether clocks agree."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mlhealth.clock import SECOND, Clock
from mlhealth.doctor.findings import Finding, fault, ok, warning
from mlhealth.errors import StoreUnavailable
from mlhealth.store import schema
from mlhealth.store.database import Database
from mlhealth.store.heartbeats import all_of
from mlhealth.store.tables import partitions, store_settings

SKEW = 5 * SECOND
"""How far clocks may be apart."""
_LITTLE_ROOM = 2 * 1024**3
_NO_ROOM = 256 * 1024**2


def file_of(database: Database) -> Path | None:
    """Return the file of a SQLite store, None for PostgreSQL and for a store in memory."""
    name = database.engine.url.database
    return Path(name) if database.is_sqlite and name and name != ":memory:" else None


def check_store(database: Database, clock: Clock) -> list[Finding]:
    """Return what is to be said of the store; the last finding is a fault where it cannot be used."""
    file = file_of(database)
    if file is not None and not file.exists():
        seen = f"{file} is not there yet"
        return [warning("store", seen, "the first start makes it; on an old installation, correct `store`")]
    try:
        with database.read() as connection:
            found = schema.current(connection)
    except StoreUnavailable as error:
        return [fault("store", str(error), "start it, or correct `store` in the configuration")]
    findings = [ok("store", f"{database.engine.url.render_as_string()} answers"), check_schema(found)]
    if found != schema.NEWEST:
        return findings
    return [*findings, check_writable(database), *check_room(file), *check_clock(database, clock)]


def check_schema(found: str | None) -> Finding:
    """Return whether a schema is this version's."""
    if found == schema.NEWEST:
        return ok("schema", f"{found}, which this version needs")
    if found is None:
        return warning("schema", "the store is empty", "the first start makes the tables")
    if found in schema.KNOWN:
        seen = f"{found}, this version needs {schema.NEWEST}"
        return fault("schema", seen, "stop all processes, back up the store, run `mlhealth store upgrade`")
    return fault(
        "schema", f"{found}, made by a newer mlhealth", "upgrade mlhealth, or restore an older backup"
    )


class _Undo(Exception):
    pass


def check_writable(database: Database) -> Finding:
    """Return whether a row can be written; it is taken back."""
    row = {"name": "doctor", "value": "was here"}
    try:
        with database.begin() as connection:
            connection.execute(sa.insert(store_settings).values(row))
            raise _Undo
    except _Undo:
        return ok("store writes", "a row could be written")
    except (StoreUnavailable, DBAPIError) as error:
        seen = str(error).splitlines()[0]
        return fault("store writes", seen, "let this user write: check the database's mode, rights and disk")


def check_room(file: Path | None) -> Iterator[Finding]:
    """Yield how much room the store's disk has, where it is a file of this machine."""
    if file is None:
        return
    free = shutil.disk_usage(file.parent).free
    seen = f"{free / 1024**3:.1f} GiB free beside {file}, which has {file.stat().st_size / 1024**2:.0f} MiB"
    if free < _NO_ROOM:
        yield fault("disk", seen, "make room now; `mlhealth store retain` drops old windows")
    elif free < _LITTLE_ROOM:
        yield warning("disk", seen, "make room soon; set `retention`, or run `mlhealth store retain`")
    else:
        yield ok("disk", seen)


def check_clock(database: Database, clock: Clock) -> Iterator[Finding]:
    """Yield whether this machine's clock agrees with the database's, and with what was written before."""
    with database.read() as connection:
        now = clock.now()
        theirs = now if database.is_sqlite else _database_clock(connection)
        latest = _latest_write(connection)
    remedy = "let NTP set the clock of both machines"
    if abs(theirs - now) > SKEW:
        yield fault("clock", f"{(theirs - now) / SECOND:+.1f} s apart from the database's", remedy)
    elif latest > now + SKEW:
        ahead = f"{(latest - now) / SECOND:.0f} s in the future"
        seen = f"something was written {ahead}: this clock, or a worker's, was set back"
        yield fault("clock", seen, "let NTP set the clock of every machine")
    else:
        yield ok("clock", "agrees with the store")


def _database_clock(connection: Connection) -> int:
    seconds = connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
    return int(float(seconds) * SECOND)


def _latest_write(connection: Connection) -> int:
    progressed = connection.execute(sa.select(sa.func.max(partitions.c.progressed))).scalar() or 0
    return max([int(progressed), *(seen.beat for seen in all_of(connection))])
