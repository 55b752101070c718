"""The Ray adapter under its contract, against a real head: what the strict fake of ours promises, Ray keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import uuid4

import pytest

from mlhealth.alerts.retraining.base import Job, Progress, TrainingService
from mlhealth.alerts.retraining.registry import training_service
from mlhealth.records import RetrainingRequest, RetrainingStatus
from tests.contract.test_training_services import request
from tests.servers.process import wait_until
from tests.servers.ray_head import RayHead

pytestmark = [pytest.mark.story, pytest.mark.timeout(300)]


def service(head: RayHead, script: str) -> TrainingService:
    """Return the adapter, whose jobs run a line of Python."""
    entrypoint = f"{head.python} -c {json.dumps(script)}"
    config = {"url": head.url, "entrypoint": entrypoint, "gpus": 1, "timeout": "30s"}
    return training_service("gpu", {"ray": config})


def asked() -> RetrainingRequest:
    """Return a request that no other test has made."""
    return replace(request(), id=f"mlhealth-{uuid4().hex[:24]}")


def followed(gpu: TrainingService, wanted: RetrainingRequest, job: str) -> Progress:
    """Ask after a job until it has ended."""
    seen: list[Progress] = []

    def ended() -> bool:
        progress = gpu.progress(Job(wanted, job, None))
        assert progress is not None
        seen.append(progress)
        return progress.status in (RetrainingStatus.SUCCEEDED, RetrainingStatus.FAILED)

    wait_until(ended, what="the job", timeout=60, interval=0.3)
    return seen[-1]


def test_a_repeated_request_is_the_same_job(ray_head: RayHead) -> None:
    """Ray answers 500 to a submission id it has; the adapter finds the job behind it."""
    gpu, wanted = service(ray_head, "print(1)"), asked()
    assert gpu.submit(wanted) == gpu.submit(wanted)
    assert followed(gpu, wanted, wanted.id).status is RetrainingStatus.SUCCEEDED


def test_a_job_says_which_version_it_made(ray_head: RayHead) -> None:
    """The request reaches the job, and the result line of its log reaches us, with the GPU time."""
    script = (
        "import json, os; v = json.loads(os.environ['MLHEALTH_REQUEST'])['version']; "
        "print('MLHEALTH_RESULT', json.dumps(dict(version=v + '-again')))"
    ).replace('"', "'")
    gpu, wanted = service(ray_head, script), asked()
    done = followed(gpu, wanted, gpu.submit(wanted).job)
    assert (done.status, done.new_version) == (RetrainingStatus.SUCCEEDED, "3-again")
    assert done.gpu_seconds is not None
    assert done.gpu_seconds >= 0


def test_a_job_that_fails_is_told_with_rays_words(ray_head: RayHead) -> None:
    """A job that exits with 3 has failed, and the message says so."""
    gpu, wanted = service(ray_head, "raise SystemExit(3)"), asked()
    done = followed(gpu, wanted, gpu.submit(wanted).job)
    assert done.status is RetrainingStatus.FAILED
    assert done.detail
    assert "3" in done.detail


def test_a_job_that_is_gone_has_failed(ray_head: RayHead) -> None:
    """A job the cluster does not know (it was restarted) is not waited for for ever."""
    gpu = service(ray_head, "print(1)")
    progress = gpu.progress(Job(asked(), "never-was", None))
    assert progress is not None
    assert progress.status is RetrainingStatus.FAILED
