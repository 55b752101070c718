"""Model versions without a baseline: counted, kept, and a schema proposed from what they sent."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import orjson
import pyarrow as pa
import pytest
from kafka import KafkaProducer
from typer.testing import CliRunner

from mlhealth.cli import app
from mlhealth.clock import DAY, ManualClock
from mlhealth.config.sources import KafkaConfig
from mlhealth.sources.base import FORMAT_HEADER, MODEL_HEADER, VERSION_HEADER
from mlhealth.sources.inbox import InboxSource, ReaderIdentity
from mlhealth.sources.kafka import KafkaSource
from mlhealth.store.database import Database
from mlhealth.store.inbox import Entry, Inbox
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.stream import START, Bench, headers, loan_baseline, loan_events, loan_rows, run

LOANS = """\
task: binary  # binary, multiclass or regression
columns:
  prediction: y_pred
  score: y_score
  label: FILL IN
  timestamp: ts
  id: event_id
features:
  amount: numeric
  region: categorical
"""


def discovered(folder: Path, sources: list[dict[str, object]]) -> str:
    """Return what the command says."""
    config = folder / "mlhealth.yaml"
    config.write_bytes(orjson.dumps({"store": f"sqlite:///{folder / 'store.db'}", "sources": sources}))
    done = CliRunner().invoke(app, ["models", "discover", "-c", str(config)])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A store with a baseline of `loans`, version 1."""
    made = Bench(
        Database.open(f"sqlite:///{tmp_path / 'store.db'}"), loan_baseline(), clock=ManualClock(START + DAY)
    )
    made.prepare()
    return made


def test_a_schema_is_proposed_from_a_topic(bench: Bench, tmp_path: Path, kafka: KafkaCluster) -> None:
    """JSON and Arrow messages of two unknown models are counted and read back; known models are not proposed."""
    topic = kafka.create_topic(f"discover-{uuid4().hex[:8]}")
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    for event in loan_events(30):
        producer.send(topic, value=event, headers=list(headers("loans", "1")))
        producer.send(topic, value=event, headers=list(headers("loans", "2")))
    table = loan_rows(50).drop_columns(["y_true"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    named = [(MODEL_HEADER, b"prices"), (VERSION_HEADER, b"7"), (FORMAT_HEADER, b"arrow")]
    producer.send(topic, value=sink.getvalue().to_pybytes(), headers=named)
    producer.close(timeout=30)
    block = {"bootstrap": kafka.bootstrap, "topics": [topic], "group": topic}
    source = KafkaSource(KafkaConfig.model_validate(block))
    worker = bench.worker(source)
    run(worker, source, bench.clock, 25)
    worker.finish()
    bench.database.close()
    said = discovered(tmp_path, [{"kafka": block}])
    first, second = said.split("\n\n")[:2]
    assert first.startswith(
        '# 30 messages came without a baseline; guessed from 20 events\nmodel: loans\nversion: "2"\n'
    )
    assert first.endswith(LOANS.rstrip())
    assert second.startswith("# 1 messages came without a baseline; guessed from 50 events\nmodel: prices\n")
    assert "  amount: numeric\n" in second


def test_a_schema_is_proposed_from_the_inbox(bench: Bench, tmp_path: Path) -> None:
    """What came over HTTP is kept for it, and looked at in the same way."""
    inbox = Inbox(bench.database)
    inbox.append([Entry("new", "1", body=b"\n".join(loan_events(5)), rows=5)], bench.clock.now())
    source = InboxSource(inbox, ReaderIdentity("a", bench.clock))
    worker = bench.worker(source)
    run(worker, source, bench.clock, 3)
    worker.finish()
    bench.database.close()
    said = discovered(tmp_path, [{"inbox": {}}])
    assert "guessed from 5 events\nmodel: new\n" in said
    assert said.rstrip().endswith(LOANS.rstrip())
