"""The loop: a table goes through a real broker and a real service, and comes out as if read from the file."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from mlhealth.clock import to_iso
from mlhealth.estimate_json import report_to_dict
from tests.conftest import ROOT
from tests.e2e.loop_data import employment
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.service import StreamService, mlhealth
from tests.servers.story import Story


@pytest.mark.story
@pytest.mark.timeout(1200)
def test_a_topic_gives_the_reports_of_its_file(kafka: KafkaCluster, tmp_path: Path, story: Story) -> None:
    """100,000 events through broker, worker and store give the numbers that `mlhealth estimate` gives for the file."""
    data = employment(tmp_path, ROOT.parent / "shared" / "data")
    story.step("a model is trained; 10,000 reference rows and 100,000 events are written")
    base = tmp_path / "baseline"
    mlhealth("baseline", "fit", data.reference, "--schema", data.schema, "--out", base)
    story.step("mlhealth baseline fit")

    topic = kafka.create_topic(f"loop-{uuid4().hex[:8]}", partitions=3)
    models = "employment: {window: 1d}"
    service = StreamService(tmp_path / "service", kafka.bootstrap, topic, models)
    mlhealth("baseline", "push", base, "-c", service.config)
    service.start()
    story.step("mlhealth baseline push, mlhealth serve: ready, with 3 partitions")
    try:
        mlhealth(
            "replay",
            data.production,
            "--to",
            "kafka",
            "--bootstrap",
            kafka.bootstrap,
            "--topic",
            topic,
            "--baseline",
            base,
        )
        story.step("mlhealth replay: 100,000 events sent")
        service.wait_for(100_000, timeout=900.0)
        story.step(f"{len(service.reports())} windows reported")
    finally:
        service.process.stop()

    assert service.counts() == {"accepted": 100_000}
    printed = mlhealth(
        "estimate", data.production, "--baseline", base, "--window", "1d", "--format", "json", timeout=900.0
    )
    expected = [json.loads(line) for line in printed.splitlines()]
    story.step(f"mlhealth estimate: {len(expected)} windows of the same file")
    assert _as_printed(service) == expected
    story.step("every number of every window is equal")


def _as_printed(service: StreamService) -> list[object]:
    told = [
        report_to_dict(report, window=i, start=to_iso(report.key.start), end=to_iso(report.key.end))
        for i, report in enumerate(service.reports())
    ]
    return [json.loads(json.dumps(report)) for report in told]
