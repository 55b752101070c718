"""A worker over a folder of files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from mlhealth.clock import DAY, SECOND, ManualClock
from mlhealth.config.sources import FilesConfig, TopicModel
from mlhealth.sources.files import FileSource
from mlhealth.store.database import Database
from mlhealth.store.tables import counters, rejections, reports
from tests.servers.stream import START, Bench, loan_baseline, loan_events, run


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A store with a baseline."""
    database = Database.open(f"sqlite:///{tmp_path / 'store.db'}")
    made = Bench(database, loan_baseline(), clock=ManualClock(START + DAY))
    made.prepare()
    yield made
    database.close()


def _read(bench: Bench, config: FilesConfig, turns: int = 3) -> None:
    source = FileSource(config)
    worker = bench.worker(source)
    run(worker, source, bench.clock, turns)
    worker.finish()


def _counts(bench: Bench) -> dict[str, int]:
    query = sa.select(counters.c.outcome, sa.func.sum(counters.c.events)).group_by(counters.c.outcome)
    with bench.database.read() as connection:
        return {row[0]: int(row[1]) for row in connection.execute(query) if row[1]}


def _table(events: list[bytes]) -> pa.Table:
    return pa.Table.from_pylist([orjson.loads(event) for event in events])


def test_every_row_of_every_file_is_counted_once(bench: Bench, tmp_path: Path) -> None:
    """Parquet, Arrow and growing NDJSON files, new ones and restarts: each row is counted once, whoever reads it."""
    folder = tmp_path / "events" / "loans" / "1"
    folder.mkdir(parents=True)
    config = FilesConfig(folder=str(tmp_path / "events"))
    events = loan_events(1_000)
    pq.write_table(_table(events[:400]), folder / "a.parquet")
    table = _table(events[400:500])
    with pa.ipc.new_file(str(folder / "b.arrow"), table.schema) as writer:
        writer.write_table(table)
    lines = folder / "c.ndjson"
    lines.write_bytes(b"\n".join(events[500:600]) + b"\n" + events[600][:20])
    _read(bench, config)
    assert _counts(bench) == {"accepted": 600}
    with lines.open("ab") as file:
        file.write(events[600][20:] + b"\n" + b"\n".join(events[601:700]))  # the last line has no end
    (folder / "d.jsonl").write_bytes(b"\n".join(events[700:]) + b"\n")
    _read(bench, config)
    assert _counts(bench) == {"accepted": 1_000}
    _read(bench, config)
    assert _counts(bench) == {"accepted": 1_000}


def test_windows_close_when_the_files_are_read(bench: Bench, tmp_path: Path) -> None:
    """Files that were read to their end and do not grow hold no window open; all rows are in the reports."""
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "a.jsonl").write_bytes(b"\n".join(loan_events(900)))
    (tmp_path / "events" / "b.jsonl").write_bytes(b"\n".join(loan_events(900, first=900)))
    config = FilesConfig(folder=str(tmp_path / "events"), model=TopicModel(model="loans", version="1"))
    _read(bench, config)
    bench.clock.advance(60 * SECOND)
    _read(bench, config)
    query = sa.select(reports.c.rows).where(reports.c.segment == "", reports.c.latest)
    with bench.database.read() as connection:
        rows = list(connection.execute(query).scalars())
    assert sum(rows) == 1_800
    assert _counts(bench) == {"accepted": 1_800}


def test_files_that_cannot_be_read_stop_no_other(bench: Bench, tmp_path: Path) -> None:
    """A damaged Parquet file and a bad line are rejections with an address; hidden and other files are left alone."""
    folder = tmp_path / "events"
    folder.mkdir()
    events = loan_events(10)
    (folder / "a.parquet").write_bytes(b"PAR1 but no more")
    (folder / "b.jsonl").write_bytes(b"\n".join([*events[:5], b"{oh", *events[5:]]))
    (folder / ".c.jsonl.tmp").write_bytes(b"half")
    (folder / "notes.txt").write_text("hello")
    _read(bench, FilesConfig(folder=str(folder), model=TopicModel(model="loans", version="1")))
    assert _counts(bench) == {"accepted": 10, "rejected": 2}
    with bench.database.read() as connection:
        found = connection.execute(sa.select(rejections.c.topic, rejections.c.offset, rejections.c.row)).all()
    assert {(Path(t.partition("#")[2]).name, offset, row) for t, offset, row in found} == {
        ("a.parquet", 0, 0),
        ("b.jsonl", 0, 5),
    }
