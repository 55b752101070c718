"""Personal data named in the schema reaches neither store nor dead letters, and hashed columns still work."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from mlhealth.clock import DAY, ManualClock
from mlhealth.errors import ConfigError
from mlhealth.events.bodies import read_body
from mlhealth.events.formats.personal_halves import protected_half
from mlhealth.events.personal import hashed
from mlhealth.fit import fit
from mlhealth.schema.file import complete
from mlhealth.sources.memory import MemoryLog, MemorySource
from mlhealth.store.database import Database
from tests.format_writers import LOANS, WRITERS, reading
from tests.loans import loan_schema, loan_table
from tests.servers.stream import HEADERS, START, Bench, loan_events, loan_rows, run
from tests.servers.stream import loan_schema as stream_schema
from tests.strategies import SCHEMA

PERSONAL = ("north", "south", "east")


def test_a_hashed_column_is_a_feature_whose_values_nobody_sees() -> None:
    """Fitting hashes the reference too: no value of the column is anywhere in the baseline, and drift can be seen."""
    from mlhealth.baseline.files import from_bytes, to_bytes

    spec = loan_schema().model_copy(update={"pii": {"region": "hash", "debt": "drop"}})
    baseline = fit(loan_table(1_000), spec, methods=["cbpe"], clock=ManualClock(0))
    assert "debt" not in baseline.schema.feature_names
    again = from_bytes(to_bytes(baseline))
    assert again.schema.pii == (("debt", "drop"), ("region", "hash"))
    told = json.dumps([again.rows.to_pylist(), str(again.layout)], default=str)
    assert not any(f"'{value}'" in told or f'"{value}"' in told for value in PERSONAL)
    assert str(hashed("north")) in told


def test_columns_with_a_part_to_play_cannot_be_hidden() -> None:
    """The prediction, the label, the time and the id are needed as they are."""
    for column in ("y_pred", "event_id", "ts"):
        spec = loan_schema().model_copy(update={"pii": {column: "hash"}})
        with pytest.raises(ConfigError, match="cannot be hidden"):
            complete(spec, loan_table(600))


@pytest.mark.parametrize(
    "kind", ["application/x-ndjson", "application/json", "application/vnd.apache.arrow.stream"]
)
def test_bodies_are_protected_before_the_inbox(kind: str) -> None:
    """What is kept of a request's body holds digests in place of values, and nothing of dropped columns."""
    schema = replace(SCHEMA, pii=(("income", "drop"), ("region", "hash")))
    event = {"ts": 1_700_000_000, "event_id": "e1", "income": 123456.75, "region": "atlantis", "owner": 1,
             "y_pred": 1, "y_score": 0.5}  # fmt: skip
    if kind.endswith("stream"):
        (content,) = WRITERS["arrow"]([event], LOANS)
    else:
        content = json.dumps(event).encode()
    body = read_body(content, kind, schema)
    assert body.accepted == 1
    assert b"atlantis" not in body.content
    assert b"123456.75" not in body.content
    assert str(hashed("atlantis")).encode() in body.content


@pytest.mark.parametrize("name", ["kserve", "seldon"])
def test_halves_are_protected_before_they_wait(name: str) -> None:
    """A request that waits for its response holds no personal data, and pairs all the same."""
    how = replace(reading(name), schema=replace(SCHEMA, pii=(("region", "hash"),)))
    event = {"ts": 1_700_000_000_000_000, "event_id": "e1", "income": 1.5, "region": "atlantis", "owner": 1,
             "y_pred": 1, "y_score": 0.5}  # fmt: skip
    request, response = WRITERS[name]([event], LOANS)
    kept = protected_half(request, how)
    assert b"atlantis" not in kept
    assert str(hashed("atlantis")).encode() in kept
    assert protected_half(response, how) == response
    assert protected_half(b"\xff", how) == b""


def test_neither_store_nor_dead_letters_hold_raw_values(tmp_path: Path) -> None:
    """After a run with good and bad events, no value of the column is in any byte of the database or in a letter."""
    schema = replace(stream_schema(), pii=(("region", "hash"),))
    rows = loan_rows(1_000)
    bench = Bench(Database.open(f"sqlite:///{tmp_path}/store.db"), fit(rows, schema, methods=["cbpe"]))
    bench.prepare()
    bench.clock = ManualClock(START + DAY)
    log = MemoryLog("inference", 1, bench.clock)
    events = [orjson.loads(value) for value in loan_events(1_200)]
    for event in events:
        event["region"] = {"eu": "atlantis", "us": "lemuria", "asia": "mu-land"}[event["region"]]
    events[5]["amount"] = "not a number"
    for event in events:
        log.append(0, orjson.dumps(event), HEADERS)
    source = MemorySource(log)
    worker = bench.worker(source)
    run(worker, source, bench.clock, 4)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [name for name in (b"atlantis", b"lemuria", b"mu-land") if name in stored]
    assert worker._parts.intake.letters == []
