"""One suite over every training service that exists, against a strict one of ours that also misbehaves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from standardwebhooks import Webhook

from mlhealth.alerts.engine import step
from mlhealth.alerts.retraining.base import Job, TrainingService
from mlhealth.alerts.retraining.registry import service_class, training_service
from mlhealth.config.receivers import TRAINING_KINDS, TrainingConfig
from mlhealth.errors import ConfigError, DeliveryError, PermanentError
from mlhealth.records import RetrainingRequest, RetrainingStatus
from tests.alert_rules import design_rules, window
from tests.strict_kubernetes import Cluster, trainjob_problem
from tests.strict_receiver import Answer, Reply, Request, StrictReceiver, receiver

SECRET = "whsec_c2VjcmV0LW9mLXRoZS10cmFpbmluZy1zZXJ2aWNl"
TRAIN_JOB = {
    "apiVersion": "trainer.kubeflow.org/v1alpha1",
    "kind": "TrainJob",
    "metadata": {"annotations": {"reason": "{{ reason }}"}},
    "spec": {
        "runtimeRef": {"name": "torch-distributed"},
        "trainer": {
            "numNodes": 1,
            "env": [{"name": "MODEL", "value": "{{ model }}"}, {"name": "REQUEST", "value": "{{ request }}"}],
        },
    },
}


def request() -> RetrainingRequest:
    """Return the request that the guide's rule makes."""
    return step(design_rules(), window(0)).requests[0]


class TrainingJobs:
    """A training service's memory: jobs by idempotency key."""

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}
        self.lock = threading.Lock()

    def add(self, key: str) -> bool:
        """Return whether the job is new."""
        with self.lock:
            new = key not in self.jobs
            self.jobs.setdefault(key, "RUNNING")
            return new


def webhook(jobs: TrainingJobs) -> Callable[[Request], Answer]:
    """A plain HTTP service that wants CloudEvents, an idempotency key and a signature."""

    def judge(asked: Request) -> Answer:
        if asked.method == "GET":
            assert asked.headers["authorization"] == "Bearer t0ken"
            job = asked.path.rpartition("/")[2]
            if job not in jobs.jobs:
                return Reply(404)
            return Reply(200, json.dumps({"status": jobs.jobs[job], "version": "4"}).encode())
        Webhook(SECRET).verify(asked.body, asked.headers)
        event = asked.json
        fine = {"specversion", "id", "source", "type", "time", "data"} <= set(event)
        if not fine or asked.headers["idempotency-key"] != event["id"] or not event["data"]["evidence"]:
            return Reply(400)
        jobs.add(event["id"])
        return Reply(202, json.dumps({"job": event["id"], "status_url": f"/jobs/{event['id']}"}).encode())

    return judge


def ray(jobs: TrainingJobs) -> Callable[[Request], Answer]:
    """Ray's Jobs API: a submission id that is known already is a 500 with words."""

    def judge(asked: Request) -> Answer:
        if asked.path.endswith("/logs"):
            return Reply(200, b'{"logs": "epoch 1\\nMLHEALTH_RESULT {\\"version\\": \\"4\\"}\\n"}')
        if asked.method == "GET":
            job = asked.path.rpartition("/")[2]
            if job not in jobs.jobs:
                return Reply(404)
            said = {
                "status": jobs.jobs[job],
                "message": "m",
                "start_time": 1000,
                "end_time": 61_000,
                "metadata": {},
            }
            return Reply(200, json.dumps(said).encode())
        job = asked.json
        known = {
            "entrypoint",
            "submission_id",
            "runtime_env",
            "metadata",
            "entrypoint_num_gpus",
            "entrypoint_num_cpus",
        }
        texts = all(isinstance(v, str) for v in job["metadata"].values())
        json.loads(job["runtime_env"]["env_vars"]["MLHEALTH_REQUEST"])
        if asked.path != "/api/jobs/" or not set(job) <= known or not texts:
            return Reply(400)
        if not jobs.add(job["submission_id"]):
            return Reply(500, b"ValueError: Job with submission_id already exists.")
        return Reply(200, json.dumps({"submission_id": job["submission_id"]}).encode())

    return judge


def kubernetes(jobs: TrainingJobs) -> Callable[[Request], Answer]:
    """The fake API server, whose TrainJobs do as the memory says."""
    cluster = Cluster({"trainer.kubeflow.org/v1alpha1/trainjobs": trainjob_problem})

    def judge(asked: Request) -> Answer:
        for name in cluster.objects:
            ended = {"SUCCEEDED": "Complete", "FAILED": "Failed"}.get(jobs.jobs.get(name, ""))
            conditions = [{"type": ended, "status": "True", "message": "m"}] if ended else []
            cluster.say(name, {"conditions": conditions})
        answer = cluster.judge(asked)
        if isinstance(answer, Reply) and answer.status == 201:
            made = asked.json["metadata"]
            assert made["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
            jobs.add(made["name"])
        return answer

    return judge


def kubeflow_pipelines(jobs: TrainingJobs) -> Callable[[Request], Answer]:
    """The run service of Kubeflow Pipelines: no idempotency key, a filter, a run id of its own."""
    collection = "/apis/v2beta1/runs"

    def run(name: str) -> dict[str, Any]:
        return {
            "run_id": f"run-of-{name}", "display_name": name, "state": jobs.jobs[name],
            "created_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:10:00Z",
        }  # fmt: skip

    def judge(asked: Request) -> Answer:
        if asked.headers.get("authorization") != "Bearer t0ken":
            return Reply(401)
        place = urlsplit(asked.path)
        if asked.method == "GET" and place.path == collection:
            (wanted,) = json.loads(parse_qs(place.query)["filter"][0])["predicates"]
            assert (wanted["operation"], wanted["key"]) == ("EQUALS", "display_name")
            found = [run(name) for name in jobs.jobs if name == wanted["string_value"]]
            return Reply(200, json.dumps({"runs": found, "total_size": len(found)} if found else {}).encode())
        if asked.method == "GET":
            name = place.path.removeprefix(f"{collection}/run-of-")
            return Reply(200, json.dumps(run(name)).encode()) if name in jobs.jobs else Reply(404)
        made = asked.json
        known = {
            "display_name",
            "description",
            "pipeline_version_reference",
            "runtime_config",
            "experiment_id",
        }
        if place.path != collection or not set(made) <= known or not made["pipeline_version_reference"]:
            return Reply(400)
        json.loads(made["runtime_config"]["parameters"]["mlhealth_request"])
        jobs.jobs[made["display_name"]] = "PENDING"
        return Reply(200, json.dumps(run(made["display_name"])).encode())

    return judge


@dataclass(frozen=True)
class Case:
    """How to reach a strict training service with one kind of adapter."""

    judge: Callable[[TrainingJobs], Callable[[Request], Answer]]
    config: Callable[[str, Path], dict[str, Any]]


def _template(folder: Path) -> str:
    path = folder / "train.yaml"
    path.write_text(yaml.safe_dump(TRAIN_JOB))
    return str(path)


CASES = {
    "webhook": Case(webhook, lambda url, folder: {"url": f"{url}/train", "secret": SECRET, "token": "t0ken"}),
    "ray": Case(ray, lambda url, folder: {"url": url, "entrypoint": "python train.py", "gpus": 2}),
    "kubernetes": Case(
        kubernetes,
        lambda url, folder: {
            "url": url, "template": _template(folder), "namespace": "training", "queue": "gpus", "token": "t0ken",
        },
    ),
    "kubeflow_pipelines": Case(
        kubeflow_pipelines,
        lambda url, folder: {
            "url": url, "pipeline_id": "p-1", "experiment_id": "e-1", "gpus": 2, "token": "t0ken",
            "parameters": {"since": "data_start"},
        },
    ),
}  # fmt: skip
NOT_HTTP = {"kafka"}
"""Kinds that speak another protocol; each has tests of its own."""
KINDS = sorted(CASES)


def made(kind: str, server: StrictReceiver, folder: Path, **more: Any) -> TrainingService:
    """Return an adapter of this kind that talks to the server."""
    config = {"timeout": "10s", **CASES[kind].config(server.url, folder), **more}
    return training_service("gpu", TrainingConfig.model_validate({kind: config}))


def test_every_kind_is_in_the_suite() -> None:
    """An adapter that is added without a strict training service fails here."""
    assert set(CASES) | NOT_HTTP == set(TRAINING_KINDS)
    for kind in TRAINING_KINDS:
        assert issubclass(service_class(kind), TrainingService)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_is_taken_once_however_often_it_is_sent(kind: str, tmp_path: Path) -> None:
    """Sent again after a lost answer, the request is the same job."""
    jobs = TrainingJobs()
    with receiver(CASES[kind].judge(jobs)) as server:
        service = made(kind, server, tmp_path)
        first, again = service.submit(request()), service.submit(request())
        assert first == again
        assert list(jobs.jobs) == [request().id]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ["RUNNING", "SUCCEEDED", "FAILED"])
def test_a_job_is_followed_to_its_end(kind: str, word: str, tmp_path: Path) -> None:
    """Running, succeeded and failed jobs are told apart."""
    jobs = TrainingJobs()
    with receiver(CASES[kind].judge(jobs)) as server:
        service = made(kind, server, tmp_path)
        taken = service.submit(request())
        jobs.jobs[request().id] = word
        progress = service.progress(Job(request(), taken.job, taken.status_url))
        assert progress is not None
        ended = {"SUCCEEDED": RetrainingStatus.SUCCEEDED, "FAILED": RetrainingStatus.FAILED}
        open_ = (RetrainingStatus.RUNNING, RetrainingStatus.SUBMITTED)
        assert progress.status == ended.get(word, progress.status)
        assert (progress.status in open_) is (word == "RUNNING")


@pytest.mark.parametrize("kind", ["kubeflow_pipelines", "kubernetes", "ray"])
def test_a_job_that_vanished_has_failed(kind: str, tmp_path: Path) -> None:
    """A service that forgot the job is told as a failure, not asked for ever."""
    with receiver(CASES[kind].judge(TrainingJobs())) as server:
        progress = made(kind, server, tmp_path).progress(Job(request(), "gone", None))
        assert progress is not None
        assert progress.status is RetrainingStatus.FAILED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["hang", "drip", "reset", "half", 429, 500, 503])
def test_what_may_pass_is_retried(kind: str, fault: str | int, tmp_path: Path) -> None:
    """Timeouts, resets, server errors and too many requests are errors to retry."""
    with receiver(CASES[kind].judge(TrainingJobs())) as server:
        server.script = [Reply(fault, b"<html>oops") if isinstance(fault, int) else fault]
        with pytest.raises(DeliveryError):
            made(kind, server, tmp_path, timeout="500ms").submit(request())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 422])
def test_what_cannot_help_is_not_retried(kind: str, status: int, tmp_path: Path) -> None:
    """Refusals and redirects are final, told in one line without a secret."""
    with receiver(CASES[kind].judge(TrainingJobs())) as server:
        server.script = [Reply(status, b"<html>no", {"location": "http://elsewhere.example/"})]
        with pytest.raises(PermanentError) as caught:
            made(kind, server, tmp_path).submit(request())
        assert "\n" not in str(caught.value)
        assert "t0ken" not in str(caught.value)


def test_a_service_that_answers_a_web_page_is_retried_and_told(tmp_path: Path) -> None:
    """A proxy's HTML under a 200 is no acceptance."""
    with receiver(webhook(TrainingJobs())) as server:
        server.script = [Reply(200, b"<html>sign in", {"content-type": "text/html"})]
        with pytest.raises(DeliveryError, match="not JSON"):
            made("webhook", server, tmp_path).submit(request())


def test_a_status_nobody_understands_is_told(tmp_path: Path) -> None:
    """A status that is no known word stops the following with the words that came."""
    with receiver(webhook(TrainingJobs())) as server:
        service = made("webhook", server, tmp_path)
        taken = service.submit(request())
        server.script = [Reply(200, b'{"status": "purple"}')]
        with pytest.raises(PermanentError, match="purple"):
            service.progress(Job(request(), taken.job, taken.status_url))


def test_a_wrong_template_is_refused_at_start(tmp_path: Path) -> None:
    """A template that names what no request has, or is no object, is told with its file before anything runs."""
    path = tmp_path / "train.yaml"
    for text, told in {
        "kind: Job": "needs apiVersion",
        'apiVersion: v1\nkind: "{{ mdoel }}"': "mdoel",
    }.items():
        path.write_text(text)
        with pytest.raises(ConfigError, match=told):
            training_service("gpu", {"kubernetes": {"template": str(path)}})


def test_a_reason_cannot_change_the_objects_shape(tmp_path: Path) -> None:
    """Values are filled into texts of the parsed template, so YAML in a value stays text."""
    from dataclasses import replace

    from mlhealth.alerts.retraining.kubernetes import KubernetesTraining

    evil = replace(request(), reason='x"\nspec: {runtimeRef: {name: evil}}')
    service = training_service("gpu", {"kubernetes": {"template": _template(tmp_path)}})
    assert isinstance(service, KubernetesTraining)
    manifest = service.manifest(evil)
    assert manifest["spec"]["runtimeRef"] == {"name": "torch-distributed"}
    assert manifest["metadata"]["annotations"]["reason"] == evil.reason
