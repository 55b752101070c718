"""When the store was last looked after: backed up, kept within its retention."""

from __future__ import annotations

from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.store.database import upsert
from mlhealth.store.tables import store_settings


class Upkeep(StrEnum):
    """What is done for a store now and then."""

    BACKUP = "upkeep.backup"
    HOUSEKEEPING = "upkeep.housekeeping"


def note(connection: Connection, what: Upkeep, now: int) -> None:
    """Remember that something was done at `now` (wall time, microseconds)."""
    upsert(connection, store_settings, [{"name": str(what), "value": str(now)}])


def noted(connection: Connection, what: Upkeep) -> int | None:
    """Return when something was done last, None where it never was."""
    query = sa.select(store_settings.c.value).where(store_settings.c.name == str(what))
    found = connection.execute(query).scalar()
    return None if found is None else int(found)
