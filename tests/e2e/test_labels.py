"""A served model whose labels come late over Kafka, HTTP and a file: what a user then sees of them."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import httpx
import orjson
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pytest
from kafka import KafkaProducer

from mlhealth.baseline.files import save
from mlhealth.clock import MINUTE, to_iso
from mlhealth.records import LabelDesign, WindowReport
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.process import wait_until
from tests.servers.service import StreamService, mlhealth
from tests.servers.stream import HEADERS, START, loan_baseline, loan_events, loan_rows

ROWS = 1_000
WINDOW = 10 * MINUTE
PER_WINDOW = 300
MODELS = "default: {window: 10m, lateness: 10m, disorder: 1s}"


def labelled(service: StreamService, number: int, rows: int) -> WindowReport:
    """Wait until a window's report speaks of so many labels, and return it."""

    def found() -> WindowReport | None:
        report = next((r for r in service.reports() if r.key.start == START + number * WINDOW), None)
        return report if report and report.labels and report.labels.labelled == rows else None

    wait_until(lambda: found() is not None, what=f"{rows} labels: {service.process.log_tail()}", timeout=60.0)
    report = found()
    assert report is not None
    return report


def accuracy(true: list[int], number: int) -> float:
    """Return the share of a window's events whose prediction is their label."""
    at = slice(number * PER_WINDOW, (number + 1) * PER_WINDOW)
    predicted: list[int] = loan_rows(ROWS, 1).column("y_pred").to_pylist()[at]
    return sum(p == t for p, t in zip(predicted, true[at], strict=True)) / PER_WINDOW


@pytest.mark.timeout(300)
def test_late_labels_from_every_side(kafka: KafkaCluster, tmp_path: Path) -> None:
    """Labels over Kafka, HTTP and from a file join their windows; the API and the review show error and coverage."""
    topic, late = kafka.create_topic(f"log-{uuid4().hex}"), kafka.create_topic(f"labels-{uuid4().hex}")
    service = StreamService(tmp_path, kafka.bootstrap, topic, MODELS)
    told = service.config.read_text().replace(
        f"topics: [{topic}]",
        f"topics: [{topic}, {late}], models: {{{late}: {{model: loans, holds: labels}}}}",
    )
    service.config.write_text(told)
    save(loan_baseline(), tmp_path / "baseline")
    mlhealth("baseline", "push", tmp_path / "baseline", "-c", service.config)
    service.start()
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    try:
        for event in loan_events(ROWS):
            producer.send(topic, event, headers=list(HEADERS))
        producer.flush()
        service.wait_for(3 * PER_WINDOW)
        true = [int(v) for v in loan_rows(ROWS, 1).column("y_true").to_pylist()]

        for i in range(PER_WINDOW):
            producer.send(late, orjson.dumps({"event_id": f"e{i}", "label": true[i]}))
        producer.flush()
        first = labelled(service, 0, PER_WINDOW)
        assert first.realized["accuracy"] == pytest.approx(accuracy(true, 0))

        base = f"http://127.0.0.1:{service.port}/v1/models/loans/versions/1/labels"
        body = [{"event_id": f"e{i}", "label": true[i]} for i in range(PER_WINDOW, 2 * PER_WINDOW)]
        assert httpx.post(base, json=[*body, {"label": 1}]).json() == {
            "accepted": PER_WINDOW, "rejected": 1, "note": None,
            "reasons": [{"row": PER_WINDOW, "reason": "the event's id is missing (event_id or id or __id)"}],
        }  # fmt: skip
        assert labelled(service, 1, PER_WINDOW).realized["accuracy"] == pytest.approx(accuracy(true, 1))

        few_labels_from_a_file(service, tmp_path / "todo.csv", true)

        record = httpx.get(base).json()
        found = next(m for m in record["metrics"] if m["metric"] == "accuracy")
        assert found["windows"] == 3
        assert 0.0 <= found["coverage"] <= 1.0
        metrics = httpx.get(f"http://127.0.0.1:{service.port}/metrics").text
        assert 'mlhealth_interval_coverage{metric="accuracy",model="loans",version="1"}' in metrics
        told = mlhealth("models", "review", "loans", "-c", service.config)
        assert "accuracy" in told
        assert "of 90%" in told
    finally:
        producer.close()
        service.process.stop()


def few_labels_from_a_file(service: StreamService, path: Path, true: list[int]) -> None:
    """Have forty rows of the third window suggested, fill them in, and see what follows."""
    start = to_iso(START + 2 * WINDOW)
    wanted = ("--model", "loans", "--window", start, "--count", 40, "--out", path, "-c", service.config)
    mlhealth("label", "suggest", *wanted)
    table = arrow_csv.read_csv(path)
    assert table.column_names == ["event_id", "time", "prediction", "y_score", "probability", "y_true"]
    assert table.num_rows == 40
    answers = [true[int(name.removeprefix("e"))] for name in table.column("event_id").to_pylist()]
    arrow_csv.write_csv(table.set_column(5, "y_true", pa.array(answers)), path)
    mlhealth("label", "add", path, "--model", "loans", "-c", service.config)
    report = labelled(service, 2, 40)
    assert report.labels is not None
    assert report.labels.design is LabelDesign.DRAWN
    seen = report.labels.estimates["accuracy"]
    assert seen.lower is not None
    assert seen.upper is not None
    assert seen.lower - 0.05 < accuracy(true, 2) < seen.upper + 0.05
