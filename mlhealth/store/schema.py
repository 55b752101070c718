"""All tables together, and bringing a store up to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy import Connection, MetaData

from mlhealth.errors import ConflictError
from mlhealth.store import (
    alert_tables,
    event_ids,
    forgetting,
    half_tables,
    inbox_tables,
    label_tables,
    operation_tables,
    rollup_tables,
    tables,
    token_tables,
    trust_tables,
)
from mlhealth.store.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

TABLES = (
    tables,
    alert_tables,
    event_ids,
    forgetting,
    token_tables,
    inbox_tables,
    label_tables,
    half_tables,
    operation_tables,
    rollup_tables,
    trust_tables,
)
"""The modules that add tables to the one `metadata`."""
NEWEST = "0012"
"""The schema that this version of mlhealth works with: the last step in `migrations`."""
KNOWN = (NEWEST, "0011", "0010", "0009", "0008", "0007", "0006", "0005", "0004", "0003", "0002", "0001")
"""Every schema that can be brought up to it."""
_LOCK = 7_310_583
"""PostgreSQL advisory lock under which one process at a time changes the schema."""


def all_tables() -> MetaData:
    """Return the metadata with every table of the service in it."""
    return tables.metadata


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the store to this version's schema; return the schema it had (None: empty) and the one it has."""
    from alembic import command

    with database.begin() as connection:
        if not database.is_sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        before = current(connection)
        _refuse_newer(before)
        command.upgrade(alembic_config(connection), "head")
    return before, NEWEST


def downgrade(database: Database, to: str) -> str:
    """Take the store back to an older schema and return the one it had; raises ConflictError where that cannot be."""
    from alembic import command

    with database.begin() as connection:
        before = current(connection)
        if before not in KNOWN or to not in KNOWN or KNOWN.index(to) < KNOWN.index(before):
            raise ConflictError(
                f"the store has schema {before}; it can be taken back to {', '.join(KNOWN[1:])}"
            )
        command.downgrade(alembic_config(connection), to)
    return before


def ensure(database: Database) -> None:
    """Make an empty store ready; raises ConflictError where it has another version's schema."""
    with database.read() as connection:
        before = current(connection)
    if before is None:
        upgrade(database)
    elif before != NEWEST:
        _refuse_newer(before)
        raise ConflictError(
            f"the store has schema {before}, this version needs {NEWEST}: stop all processes,"
            " run mlhealth store upgrade"
        )


def current(connection: Connection) -> str | None:
    """Return the schema version of a store, None where it is empty."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return found


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration over an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _refuse_newer(version: str | None) -> None:
    if version is not None and version not in KNOWN:
        raise ConflictError(
            f"the store has schema {version}, made by a newer mlhealth; upgrade mlhealth itself"
        )
