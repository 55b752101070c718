"""All tables together, and bringing a store up to them."""

from __future__ import annotations

from sqlalchemy import MetaData

from mlhealth.store import alert_tables, tables, token_tables
from mlhealth.store.database import Database

TABLES = (tables, alert_tables, token_tables)
"""The modules that add tables to the one `metadata`."""


def all_tables() -> MetaData:
    """Return the metadata with every table of the service in it."""
    return tables.metadata


def ensure(database: Database) -> None:
    """Make the tables that are not there yet."""
    with database.begin() as connection:
        all_tables().create_all(connection)
