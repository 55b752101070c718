"""An event that is forgotten leaves every place of the store, and does not come back from a window still open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from mlhealth.clock import MINUTE
from mlhealth.events.batch import ID
from mlhealth.events.keys import text_keys
from mlhealth.events.messages import Partition
from mlhealth.events.pairing import Changes, Waiting
from mlhealth.store import audit, halves, labels
from mlhealth.store.database import Database
from mlhealth.store.forgetting import Forgotten, forget
from mlhealth.store.half_tables import pending_halves
from mlhealth.store.inbox_tables import inbox
from mlhealth.store.tables import partials, reports, window_profiles
from tests.integration.test_late_labels import Desk
from tests.servers.stream import Bench, loan_events

BY = ("ana", 7)


def kept_ids(database: Database) -> set[str]:
    """Return every id in samples of closed windows."""
    with database.read() as connection:
        blobs = connection.execute(sa.select(window_profiles.c.sample)).scalars().all()
    tables = [pa.ipc.open_stream(blob).read_all() for blob in blobs if blob is not None]
    return {identity for table in tables for identity in table.column(ID).to_pylist()}


def count(database: Database, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    """Return how many rows a table has."""
    with database.read() as connection:
        return int(
            connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar_one()
        )


def key_of(identity: str) -> int:
    """Return the key of an event id."""
    return int(text_keys(pa.array([identity]))[0])


def test_a_forgotten_event_is_gone_from_closed_and_open_windows(bench: Bench) -> None:
    """Samples, labels and draws lose it; the open window leaves it out when it closes; counts and reports stay."""
    events = loan_events(1_000)
    ids = [orjson.loads(event)["event_id"] for event in events]
    desk = Desk(bench)
    desk.send(events)
    closed, still_open = ids[10], ids[-1]
    assert closed in kept_ids(bench.database)
    assert still_open not in kept_ids(bench.database)
    drawn = np.sort(np.array([key_of(i) for i in ids[:20]], dtype=np.uint64))
    with bench.database.begin() as connection:
        labels.write(connection, [labels.Label("loans", "1", key_of(i), "1", 5) for i in ids[:50]], 5)
        start = connection.execute(sa.select(sa.func.min(reports.c.start))).scalar_one()
        draw = labels.Draw(drawn, np.full(20, 0.5), np.ones(20, np.bool_))
        labels.add_draw(connection, ("loans", "1"), start, draw, 5)
    before = desk.latest()
    with bench.database.begin() as connection:
        found = forget(connection, "loans", [closed, still_open, "never seen"], BY)
        (left,) = labels.draws(connection, ("loans", "1"), start)
        assert key_of(closed) not in labels.lookup(connection, ("loans", "1"), drawn)
        assert list(audit.export(connection))[-1]["action"] == "events.forget"
    assert found == Forgotten(rows=1, labels=1, drawn=1)
    assert len(left.keys) == len(left.probabilities) == len(left.chosen) == 19
    assert closed not in kept_ids(bench.database)
    bench.clock.advance(60 * MINUTE)
    desk.send([])
    after = desk.latest()
    assert kept_ids(bench.database) == set(ids) - {closed, still_open}
    assert count(bench.database, partials) == 0
    assert len(after) > len(before)
    assert sum(report.rows for report in after.values()) == len(events)


def test_waiting_requests_and_dead_letters_are_forgotten(bench: Bench) -> None:
    """Halves go by the request's id, dead letters where a body holds the id; those of others stay."""
    place = Partition("t", 0)
    waiting = [
        Waiting(("loans", "1", i, "request"), "kserve", place, n, 0, b"x") for n, i in enumerate("abc")
    ]
    letter = {
        "model": "loans",
        "version": "1",
        "format": "json",
        "written": 0,
        "rows": 1,
        "bytes": 9,
        "partition": 0,
    }
    with bench.database.begin() as connection:
        halves.write(connection, Changes(waiting))
        for offset, (body, reason) in enumerate(
            [(b'{"id":"a"}', "bad"), (b'{"id":"z"}', "bad"), (b'"a"', None)]
        ):
            row = {**letter, "offset": offset, "body": body, "reason": reason}
            connection.execute(sa.insert(inbox).values(**row))
        found = forget(connection, "loans", ['"a"', "a-0", "b"], BY)
        assert forget(connection, "other", ["c"], BY) == Forgotten()
    assert (found.halves, found.letters) == (2, 1)
    assert count(bench.database, pending_halves) == 1
    assert count(bench.database, inbox) == 2


def test_forgetting_from_the_command_line(tmp_path: Path) -> None:
    """Ids come as words or in a file; without any, one line says what to do."""
    from mlhealth.cli import app
    from mlhealth.errors import ConfigError

    (tmp_path / "mlhealth.yaml").write_text(f"store: sqlite:///{tmp_path}/store.db\n")
    (tmp_path / "ids.txt").write_text("a\n\nb\n")
    config = ["--config", str(tmp_path / "mlhealth.yaml"), "--model", "loans"]
    CliRunner().invoke(app, ["db", "upgrade", *config[:2]], catch_exceptions=False)
    words = ["forget", "c", "--file", str(tmp_path / "ids.txt"), *config]
    found = CliRunner().invoke(app, words, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    assert "gone: 0 rows of windows" in found.output
    with pytest.raises(ConfigError, match="name event ids"):
        CliRunner().invoke(app, ["forget", *config], catch_exceptions=False)
