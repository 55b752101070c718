"""From the first events of a topic that nobody has described come a schema and a configuration that read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from kafka import KafkaProducer
from typer.testing import CliRunner

from mlhealth.cli import app
from mlhealth.config.service import Config
from mlhealth.schema.file import SchemaFile
from mlhealth.sources.base import MODEL_HEADER, VERSION_HEADER
from tests.format_writers import LOANS, WRITERS, framed
from tests.servers.kafka_broker import KafkaCluster

START = 1_767_225_600_000_000
EVENTS: list[dict[str, Any]] = [
    {
        "ts": START + i * 3_000_000,
        "event_id": f"e{i}",
        "income": 10.5 * i - 3.25,
        "region": ("eu", "us")[i % 2],
        "owner": i % 2,
        "y_pred": i % 2,
        "y_score": 0.1 + i / 200,
    }
    for i in range(100)
]
FEATURES = {"income": "numeric", "region": "categorical", "owner": "numeric"}


def call(*arguments: str) -> tuple[int, str]:
    """Run the command; return its exit code and what it said."""
    done = CliRunner().invoke(app, ["models", "discover", *arguments])
    return done.exit_code, done.output


def topic_of(kafka: KafkaCluster, values: list[bytes], *headers: tuple[str, bytes]) -> str:
    """Return a new topic that holds these messages."""
    topic = kafka.create_topic(f"seen-{uuid4().hex[:8]}", partitions=2)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    for i, value in enumerate(values):
        producer.send(topic, value=value, partition=i % 2, headers=list(headers))
    producer.close(timeout=30)
    return str(topic)


@pytest.mark.parametrize("kind", ["json", "arrow", "bentoml", "inference", "kserve", "databricks"])
def test_a_topic_tells_its_schema_and_format(kind: str, kafka: KafkaCluster, tmp_path: Path) -> None:
    """Features and parts are found whoever logged them; both documents are valid, and name format and window."""
    topic = topic_of(kafka, WRITERS[kind](EVENTS, LOANS))
    code, said = call("--topic", topic, "--bootstrap", kafka.bootstrap, "-c", str(tmp_path / "none.yaml"))
    assert code == 0, said
    schema, config = yaml.safe_load_all(said)
    assert schema["features"].items() >= FEATURES.items()
    assert (schema["model"], schema["version"], schema["task"]) == (topic, "1", "binary")
    assert schema["columns"]["prediction"] == "y_pred"
    if kind not in {"kserve", "inference"}:  # there a tensor holds both probabilities, under one name
        assert schema["columns"]["score"] == "y_score"
    (source,) = config["sources"]
    assert source["kafka"]["models"] == {topic: {"model": topic, "version": "1", "format": kind}}
    assert config["models"] == {topic: {"window": "10m" if kind == "kserve" else "1h"}}
    Config.model_validate(config)
    SchemaFile.model_validate({**schema, "columns": {**schema["columns"], "label": "y_true"}})


def test_rows_without_names_are_told(kafka: KafkaCluster, tmp_path: Path) -> None:
    """Captured CSV has no names: the schema is empty, and says where to name its columns."""
    topic = topic_of(kafka, WRITERS["sagemaker"](EVENTS[:5], LOANS))
    _, said = call("--topic", topic, "--bootstrap", kafka.bootstrap, "-c", str(tmp_path / "none.yaml"))
    assert "10 bodies hold rows without names: name them in payload.features" in said
    assert "format: sagemaker" in said


def test_headers_name_models_and_the_broker_may_be_the_configured_one(
    kafka: KafkaCluster, tmp_path: Path
) -> None:
    """A topic whose messages name their model needs no line of its own."""
    named = [(MODEL_HEADER, b"loans"), (VERSION_HEADER, b"7")]
    topic = topic_of(kafka, [json.dumps(event).encode() for event in EVENTS], *named)
    config = tmp_path / "mlhealth.yaml"
    config.write_text(f"sources: [{{kafka: {{bootstrap: '{kafka.bootstrap}', topics: [other]}}}}]\n")
    code, said = call("--topic", topic, "--events", "50", "-c", str(config))
    assert code == 0, said
    assert "guessed from 50 events" in said
    schema, _ = yaml.safe_load_all(said)
    assert (schema["model"], schema["version"]) == ("loans", "7")


def test_what_cannot_be_looked_at_is_said_in_one_line(kafka: KafkaCluster, tmp_path: Path) -> None:
    """No broker, no topic, no messages, and messages that need a registry's schema."""
    nothing = str(tmp_path / "none.yaml")
    assert "give one with --bootstrap" in str(
        CliRunner().invoke(app, ["models", "discover", "--topic", "x", "-c", nothing]).exception
    )
    missing = CliRunner().invoke(
        app, ["models", "discover", "--topic", "no-such", "--bootstrap", kafka.bootstrap, "-c", nothing]
    )
    assert "has no topic 'no-such'" in str(missing.exception)
    empty = topic_of(kafka, [])
    found = CliRunner().invoke(app, ["models", "discover", "--topic", empty, "--bootstrap", kafka.bootstrap])
    assert "holds no message to look at" in str(found.exception)
    code, said = call("--topic", topic_of(kafka, [framed(1, b"x")]), "--bootstrap", kafka.bootstrap)
    assert code == 0
    assert "format: avro" in said
