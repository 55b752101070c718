"""Objects made from templates, created at an API server that knows their kinds: a strict fake of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlhealth.alerts.retraining.base import Job, Progress, TrainingService
from mlhealth.alerts.retraining.registry import training_service
from mlhealth.errors import PermanentError
from mlhealth.records import RetrainingStatus
from tests.contract.test_training_services import TRAIN_JOB, request
from tests.strict_kubernetes import Check, Cluster, crd_check, trainjob_problem
from tests.strict_receiver import receiver

RAY_JOB = {
    "apiVersion": "ray.io/v1",
    "kind": "RayJob",
    "spec": {
        "entrypoint": "python train.py --model {{ model }}",
        "runtimeEnvYAML": "env_vars: {MLHEALTH_REQUEST: '{{ request_id }}'}",
        "rayClusterSpec": {
            "headGroupSpec": {
                "rayStartParams": {},
                "template": {"spec": {"containers": [{"name": "head", "image": "train:1"}]}},
            }
        },
    },
}
APP_WRAPPER = {
    "apiVersion": "workload.codeflare.dev/v1beta2",
    "kind": "AppWrapper",
    "spec": {"components": [{"template": TRAIN_JOB}]},
}
KINDS: Mapping[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "trainjob": (
        TRAIN_JOB,
        {"conditions": [{"type": "Complete", "status": "True", "message": "done"}]},
        {"conditions": [{"type": "Failed", "status": "True", "message": "out of memory"}]},
    ),
    "rayjob": (RAY_JOB, {"jobStatus": "SUCCEEDED"}, {"jobStatus": "FAILED", "message": "out of memory"}),
    "appwrapper": (APP_WRAPPER, {"phase": "Succeeded"}, {"phase": "Failed"}),
}
"""By kind: a template, and how its controller says that it succeeded and that it failed."""


def check_of(name: str) -> Check:
    """Return the check of a kind: its published definition, for TrainJobs else the models that Kubeflow publishes."""
    found = crd_check(name)
    if found is not None:
        return found
    if name == "trainjob":
        return trainjob_problem
    pytest.skip(f"no {name}.crd.yaml beside this checkout")


@contextmanager
def cluster_of(
    name: str, folder: Path, template: Mapping[str, Any]
) -> Iterator[tuple[Cluster, TrainingService]]:
    """A cluster that knows one kind, and the adapter that creates objects of a template there."""
    cluster = Cluster({f"{template['apiVersion']}/{name}s": check_of(name)})
    (folder / "train.yaml").write_text(yaml.safe_dump(dict(template)))
    with receiver(cluster.judge) as server:
        told = {"url": server.url, "template": str(folder / "train.yaml"), "namespace": "training",
                "queue": "gpus", "token": "t0ken"}  # fmt: skip
        yield cluster, training_service("gpu", {"kubernetes": told})


@pytest.mark.parametrize("name", KINDS)
def test_an_object_is_created_once_and_followed(name: str, tmp_path: Path) -> None:
    """A repetition is a conflict and no second object; what the controller writes is understood."""
    template, succeeded, failed = KINDS[name]
    with cluster_of(name, tmp_path, template) as (cluster, service):
        taken = service.submit(request())
        assert service.submit(request()) == taken
        assert list(cluster.objects) == [request().id]
        labels = cluster.objects[taken.job]["metadata"]["labels"]
        assert labels["kueue.x-k8s.io/queue-name"] == "gpus"
        job = Job(request(), taken.job, taken.status_url)
        assert service.progress(job) == Progress(RetrainingStatus.SUBMITTED)
        cluster.say(taken.job, succeeded, {"mlhealth.dev/new-version": "4"})
        done = service.progress(job)
        assert done is not None
        assert (done.status, done.new_version) == (RetrainingStatus.SUCCEEDED, "4")
        cluster.say(taken.job, failed)
        done = service.progress(job)
        assert done is not None
        assert done.status is RetrainingStatus.FAILED


@pytest.mark.parametrize("name", KINDS)
def test_an_object_that_does_not_fit_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    """A misspelt key is the server's 422, and its own words say which."""
    template = KINDS[name][0]
    wrong = {**template, "spec": {**template["spec"], "numNode": 1}}
    with cluster_of(name, tmp_path, wrong) as (cluster, service):
        with pytest.raises(PermanentError, match=r"refused with 422: .* is invalid: .*numNode") as caught:
            service.submit(request())
        assert "\n" not in str(caught.value)
        assert cluster.objects == {}


def test_the_published_models_and_definition_of_a_trainjob_agree(tmp_path: Path) -> None:
    """What one of them refuses the other refuses, too."""
    by_definition = crd_check("trainjob")
    if by_definition is None:
        pytest.skip("no trainjob.crd.yaml beside this checkout")
    for change in ({"numNode": 1}, {"trainer": {"numNodes": "many"}}, {"trainer": {"image": 3}}):
        wrong = {**TRAIN_JOB, "spec": {**TRAIN_JOB["spec"], **change}}  # type: ignore[dict-item]
        assert by_definition(wrong) is not None, change
        assert trainjob_problem(wrong) is not None, change
    assert by_definition(TRAIN_JOB) is None
    assert trainjob_problem(TRAIN_JOB) is None


@pytest.mark.parametrize(
    ("namespace", "token", "status"), [("other", "t0ken", 403), ("training", "wrong", 401)]
)
def test_what_the_account_may_not_do_is_told(namespace: str, token: str, status: int, tmp_path: Path) -> None:
    """A namespace that is not the account's and a token that is no good are final, without the token in the text."""
    cluster = Cluster({"trainer.kubeflow.org/v1alpha1/trainjobs": trainjob_problem})
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(TRAIN_JOB))
    with receiver(cluster.judge) as server:
        told = {
            "url": server.url,
            "template": str(tmp_path / "train.yaml"),
            "namespace": namespace,
            "token": token,
        }
        with pytest.raises(PermanentError, match=f"refused with {status}") as caught:
            training_service("gpu", {"kubernetes": told}).submit(request())
    assert token not in str(caught.value)
