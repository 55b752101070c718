"""The audit trail: no row changes, vanishes or is cut off unseen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from mlhealth.store.alert_tables import audit as table
from mlhealth.store.audit import Entry, append, export, verify
from mlhealth.store.database import Database
from tests.alert_rules import store


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A store with ten entries."""
    opened = store(tmp_path)
    with opened.begin() as connection:
        for n in range(10):
            append(connection, Entry(n, "kim", "rule.change", f"r{n}", {"from": n, "to": "ü"}))
    yield opened
    opened.close()


def test_an_untouched_trail_holds_and_is_exported_whole(database: Database) -> None:
    """Ten rows verify, and export in order with their detail."""
    with database.read() as connection:
        found = verify(connection)
        rows = list(export(connection))
    assert (found.ok, found.rows, found.head) == (True, 10, rows[-1]["hash"])
    assert rows[3]["detail"] == '{"from":3,"to":"ü"}'


@pytest.mark.parametrize("column", ["at", "actor", "action", "subject", "detail", "hash"])
def test_any_changed_column_is_found(column: str, database: Database) -> None:
    """A change of any value in row 5 is found, there."""
    with database.begin() as connection:
        connection.execute(
            update(table).where(table.c.seq == 5).values({column: "0" if column != "at" else 99})
        )
        found = verify(connection)
    assert (found.ok, found.broken) == (False, 5)


def test_a_removed_row_is_found(database: Database) -> None:
    """A row taken out of the middle is missed."""
    with database.begin() as connection:
        connection.execute(delete(table).where(table.c.seq == 4))
        found = verify(connection)
    assert (found.ok, found.reason) == (False, "row 4 is missing")


def test_a_cut_tail_is_found_with_a_known_head(database: Database) -> None:
    """Rows removed at the end are missed by whoever noted the head before."""
    with database.begin() as connection:
        head = verify(connection).head
        connection.execute(delete(table).where(table.c.seq > 8))
        assert verify(connection).ok
        assert not verify(connection, head).ok


@pytest.mark.parametrize("fails", [True, False])
def test_an_entry_lives_and_dies_with_its_transaction(fails: bool, database: Database) -> None:
    """An entry whose change is rolled back is not in the trail, and leaves no gap."""
    try:
        with database.begin() as connection:
            append(connection, Entry(11, "kim", "x", "y", {}))
            if fails:
                raise RuntimeError
    except RuntimeError:
        pass
    with database.read() as connection:
        found = verify(connection)
    assert (found.ok, found.rows) == (True, 10 if fails else 11)
