"""PostgreSQL's partitions of the tables that grow with time: one per month of event time, and one for the rest.

Rows of a month that has no partition yet lie in the rest (`reports_rest`); housekeeping moves them into a partition of
their own, makes those of this month and the next ahead, and drops old ones once retention has emptied them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.clock import SECOND

PARTITIONED = ("reports", "window_profiles")
"""Tables that are partitioned by the start of their window."""
IS_PART = re.compile(rf"({'|'.join(PARTITIONED)})_(rest|m\d{{6}})")
"""Names of partitions."""


def keep_months(connection: Connection, now: int) -> list[str]:
    """Make partitions that are missing and drop old empty ones; return the names of those that were made."""
    made = []
    current = _month_of(now)
    for table in PARTITIONED:
        parts = _parts(connection, table)
        wanted = {current, _next(current), *_months_in_rest(connection, table)}
        made += [
            _make(connection, table, month) for month in sorted(wanted) if _name(table, month) not in parts
        ]
        for part in parts:
            if part < _name(table, current) and _is_empty(connection, part):
                connection.execute(sa.text(f"DROP TABLE {part}"))
    return made


def _month_of(moment: int) -> tuple[int, int]:
    found = datetime.fromtimestamp(moment / SECOND, UTC)
    return found.year, found.month


def _next(month: tuple[int, int]) -> tuple[int, int]:
    year, number = month
    return (year + 1, 1) if number == 12 else (year, number + 1)


def _start(month: tuple[int, int]) -> int:
    return int(datetime(*month, 1, tzinfo=UTC).timestamp()) * SECOND


def _name(table: str, month: tuple[int, int]) -> str:
    return f"{table}_m{month[0]:04d}{month[1]:02d}"


def _parts(connection: Connection, table: str) -> set[str]:
    query = sa.text(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = CAST(:table AS regclass)"
    )
    names = connection.execute(query, {"table": table}).scalars()
    return {name for name in names if not name.endswith("_rest")}


def _months_in_rest(connection: Connection, table: str) -> set[tuple[int, int]]:
    days = sa.text(f"SELECT DISTINCT start / 86400000000 FROM {table}_rest")  # noqa: S608 - our own table's name
    return {_month_of(int(day) * 86_400 * SECOND) for day in connection.execute(days).scalars()}


def _make(connection: Connection, table: str, month: tuple[int, int]) -> str:
    name, first, end = _name(table, month), _start(month), _start(_next(month))
    connection.execute(sa.text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)"))
    connection.execute(
        sa.text(
            f"WITH moved AS (DELETE FROM {table}_rest WHERE start >= {first} AND start < {end} RETURNING *)"  # noqa: S608
            f" INSERT INTO {name} SELECT * FROM moved"
        )
    )
    connection.execute(
        sa.text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({end})")
    )
    return name


def _is_empty(connection: Connection, part: str) -> bool:
    return connection.execute(sa.text(f"SELECT 1 FROM {part} LIMIT 1")).first() is None  # noqa: S608
