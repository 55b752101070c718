"""From a falling score to a person and a training job, and back: the whole loop with real parts."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import pytest

from tests.contract.test_notifiers import ROUTING_KEY, judge_pagerduty
from tests.e2e.loan_data import Lender, applications
from tests.e2e.oncall_data import Deployed
from tests.e2e.oncall_floor import Floor, push
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.monitoring import Factory
from tests.servers.process import wait_until
from tests.servers.ray_head import RayHead
from tests.servers.service import StreamService
from tests.servers.story import Story
from tests.strict_receiver import Answer, Reply, Request, StrictReceiver, receiver

RULES = """
rules:
  - alert: PredictedAccuracyDrop
    when: health.status == "critical"
    for: 2
    severity: page
    annotations: {summary: "{{ model }} answers {{ estimates.accuracy.value | percent }} right, was {{ estimates.accuracy.reference | percent }}"}
    notify: [alertmanager, pagerduty]
    retrain: {service: gpu, approval: true, even_if_input_is_broken: true}
"""  # noqa: E501 - as the guide shows it
MORE = """
rules: [rules.yaml]
receivers:
  alertmanager: {{alertmanager: {{url: "{alertmanager}"}}}}
  pagerduty: {{pagerduty: {{url: "{pagerduty}/v2/enqueue", routing_key: {key}}}}}
training:
  gpu: {{webhook: {{url: "{training}/train"}}, poll: 1s, recover_within: 2}}
"""
ON_RAY = """
rules: [rules.yaml]
receivers:
  alertmanager: {{alertmanager: {{url: "{alertmanager}"}}}}
  pagerduty: {{pagerduty: {{url: "{pagerduty}/v2/enqueue", routing_key: {key}}}}}
training:
  gpu:
    ray: {{url: "{ray}", entrypoint: "{entrypoint}", gpus: 1, cpus: 1, timeout: 30s}}
    poll: 1s
    recover_within: 2
"""
JOB = Path(__file__).parents[2] / "examples" / "training" / "retrain_on_ray.py"


@dataclass
class TrainingService:
    """A training service of ours: it trains, fits a baseline and pushes it, in a thread of its own."""

    folder: Path
    config: Path | None = None
    made: Deployed | None = None
    requests: list[Any] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=lambda: {"status": "queued"})

    def judge(self, request: Request) -> Answer:
        """Take a request, or tell how its job does."""
        if request.method == "GET":
            return Reply(200, json.dumps(self.status).encode())
        self.requests.append(request.json)
        threading.Thread(target=self._train, daemon=True).start()
        return Reply(202, json.dumps({"job": "job-1", "status_url": "/jobs/job-1"}).encode())

    def _train(self) -> None:
        self.status = {"status": "running"}
        made = Deployed.train("2", ("minutes", "price"), seed=5)
        push(self.folder, made.version, made.reference(self.folder, seed=6), self.config)
        self.made = made
        self.status = {"status": "succeeded", "version": "2", "gpu_seconds": 1}


@pytest.mark.story
@pytest.mark.timeout(1500)
def test_a_page_a_training_and_a_recovery(
    kafka: KafkaCluster, alertmanager: Factory, tmp_path: Path, story: Story
) -> None:
    """A field vanishes, a person is paged and approves a training, the new version ends it; all is judged, audited."""
    manager = alertmanager("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    training = TrainingService(tmp_path)
    with receiver(judge_pagerduty) as pager, receiver(training.judge) as gpu:
        topic = kafka.create_topic(f"oncall-{uuid4().hex[:8]}")
        service = StreamService(
            tmp_path / "service", kafka.bootstrap, topic, "churn: {window: 1h, lateness: 1m}"
        )
        more = MORE.format(alertmanager=manager.url, pagerduty=pager.url, training=gpu.url, key=ROUTING_KEY)
        service.config.write_text(service.config.read_text() + more)
        (service.folder / "rules.yaml").write_text(RULES)
        training.config = service.config
        floor = Floor(tmp_path, kafka.bootstrap, topic, service)
        assert "1 rules are correct" in floor.ask("rules", "check")
        service.start()
        try:
            first = _calm(floor, pager, story)
            key = _page(floor, first, pager, manager.url, story)
            _train(floor, training, story)
            _recover(floor, training, story)
            wait_until(lambda: pager.taken[-1].json["event_action"] == "resolve", what="the end", timeout=180)
            assert pager.taken[-1].json["dedup_key"] == key
            story.step("the page is resolved under the key it was opened with")
            floor.until_listed("  recovered")
            assert "head" in floor.ask("audit", "verify")
            story.step("the retraining is judged: recovered; the audit trail holds")
        finally:
            service.process.stop()
    last = {report.key.version: str(report.health.status) for report in service.reports() if report.rows}
    assert last == {"1": "critical", "2": "healthy"}


def _calm(floor: Floor, pager: StrictReceiver, story: Story) -> Deployed:
    first = Deployed.train("1", ("usage", "price"), seed=1)
    push(floor.folder, first.version, first.reference(floor.folder, seed=2), floor.service.config)
    floor.send(first, range(4))
    assert pager.seen == []
    story.step("version 1 answers four calm hours: nobody is called")
    return first


def _page(floor: Floor, first: Deployed, pager: StrictReceiver, manager: str, story: Story) -> str:
    floor.send(first, range(4, 8), broken=True)
    wait_until(lambda: bool(pager.taken), what=f"the page; {floor.service.process.log_tail()}", timeout=180)
    event = pager.taken[0].json
    story.step(f"a field vanishes upstream, and a page goes out: {event['payload']['summary']}")
    story.say(event["payload"]["custom_details"]["How bad"])
    with urlopen(f"{manager}/api/v2/alerts", timeout=5) as answer:
        assert [a["labels"]["alertname"] for a in json.load(answer)] == ["PredictedAccuracyDrop"]
    story.step("Alertmanager has the alert too")
    return str(event["dedup_key"])


def _train(floor: Floor, training: TrainingService, story: Story) -> None:
    listed = floor.ask("retraining", "list")
    assert "awaits approval" in listed
    assert training.requests == []
    floor.ask("retraining", "approve", listed.split()[0], "--by", "kim")
    wait_until(lambda: training.made is not None, what="the training", timeout=600, interval=0.5)
    evidence = training.requests[0]["data"]["evidence"]
    assert evidence["estimates"]["accuracy"]["value"] < 0.8
    assert evidence["health"]["cause"] == "broken input"
    story.step(
        "the field is gone for good: kim approves, and version 2 is trained without it, its baseline pushed"
    )


def _recover(floor: Floor, training: TrainingService, story: Story) -> None:
    assert training.made is not None
    floor.send(training.made, range(8, 12))
    floor.ask("models", "retire", "churn", "1")
    story.step("version 2 answers, version 1 is retired")


@pytest.mark.story
@pytest.mark.timeout(2700)
def test_a_recession_is_healed_by_a_job_on_ray(
    kafka: KafkaCluster, alertmanager: Factory, ray_head: RayHead, tmp_path: Path, story: Story
) -> None:
    """The demo's loans default more; after an approval a real Ray job trains version 2, which ends the page."""
    manager = alertmanager("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    story.step(f"Alertmanager and Ray {ray_head.version()} are up")
    with receiver(judge_pagerduty) as pager:
        topic = kafka.create_topic(f"oncall-{uuid4().hex[:8]}")
        models = "loan-default: {window: 1h, lateness: 1m}"
        service = StreamService(tmp_path / "service", kafka.bootstrap, topic, models)
        job = _entrypoint(ray_head, tmp_path, service.config)
        more = ON_RAY.format(alertmanager=manager.url, pagerduty=pager.url, ray=ray_head.url,
                             entrypoint=job, key=ROUTING_KEY)  # fmt: skip
        service.config.write_text(service.config.read_text() + more)
        (service.folder / "rules.yaml").write_text(RULES)
        floor = Floor(tmp_path, kafka.bootstrap, topic, service)
        service.start()
        try:
            key = _recession(floor, pager, story)
            second = _job_on_ray(floor, story)
            floor.send(second, range(10, 14), broken=True)
            floor.ask("models", "retire", "loan-default", "1")
            wait_until(lambda: pager.taken[-1].json["event_action"] == "resolve", what="the end", timeout=180)
            assert pager.taken[-1].json["dedup_key"] == key
            story.step("version 2 answers the same recession, and the page is resolved")
            floor.until_listed("  recovered")
            assert "head" in floor.ask("audit", "verify")
            story.step("the retraining is judged: recovered; the audit trail holds")
        finally:
            service.process.stop()
    last = {report.key.version: str(report.health.status) for report in service.reports() if report.rows}
    assert last == {"1": "critical", "2": "healthy"}


def _entrypoint(ray: RayHead, folder: Path, config: Path) -> str:
    told = {
        "labelled": folder / "fresh.parquet",
        "schema": folder / "model1.yaml",
        "config": config,
        "out": folder,
    }
    return " ".join([str(ray.python), str(JOB), *(f"--{name} {path}" for name, path in told.items())])


def _recession(floor: Floor, pager: StrictReceiver, story: Story) -> str:
    first = Lender.first()
    push(floor.folder, "1", first.reference(floor.folder), floor.service.config)
    floor.send(first, range(4))
    assert pager.seen == []
    story.step("version 1 answers four calm hours: nobody is called")
    floor.send(first, range(4, 10), broken=True)
    wait_until(lambda: bool(pager.taken), what=f"the page; {floor.service.process.log_tail()}", timeout=180)
    event = pager.taken[0].json
    story.step(f"a recession comes, and a page goes out: {event['payload']['summary']}")
    story.say(event["payload"]["custom_details"]["How bad"])
    return str(event["dedup_key"])


def _job_on_ray(floor: Floor, story: Story) -> Lender:
    listed = floor.ask("retraining", "list")
    assert "awaits approval" in listed
    applications(range(4, 14), recession=True).to_parquet(floor.folder / "fresh.parquet")
    floor.ask("retraining", "approve", listed.split()[0], "--by", "kim")
    floor.until_listed("  succeeded  ", timeout=900)
    story.step("kim approves; the job ran on Ray, trained version 2 on fresh labels and pushed its baseline")
    return Lender.released("2", floor.folder / "model2.skops")
