"""Ray Jobs: the request is a job whose submission id is the request's, so a repetition is the same job.

API: https://docs.ray.io/en/latest/cluster/running-applications/job-submission/api.html. The entrypoint finds the
request as JSON in the environment variable MLHEALTH_REQUEST.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from mlhealth.alerts.notifiers.http import Answer, Call, deliver, json_call, perform, refusal
from mlhealth.alerts.retraining.base import (
    Job,
    Progress,
    Submission,
    TrainingService,
    request_data,
    status_of,
)
from mlhealth.config.receivers import RayConfig
from mlhealth.errors import PermanentError
from mlhealth.records import RetrainingRequest, RetrainingStatus

REQUEST_VARIABLE = "MLHEALTH_REQUEST"
RESULT = "MLHEALTH_RESULT "
"""A line of the job's log that starts so says, as JSON, what it made: `MLHEALTH_RESULT {"version": "4"}`."""


class RayTraining(TrainingService):
    """Submits to the Jobs API of one cluster."""

    kind: ClassVar[str] = "ray"

    def __init__(self, config: RayConfig) -> None:
        self._config = config
        self._url = f"{str(config.url).rstrip('/')}/api/jobs/"

    def submit(self, request: RetrainingRequest) -> Submission:
        call = self._call(self._url, self._job(request), "POST")
        answer = perform(call)
        if 200 <= answer.status < 300:
            return Submission(str(answer.json().get("submission_id") or request.id))
        # Ray answers 500 to a submission id it knows already: that job is ours, from an attempt whose answer was lost.
        if answer.status >= 400 and b"already exists" in answer.body:
            deliver(self._call(self._job_url(request.id), None, "GET"))
            return Submission(request.id)
        raise refusal(call, answer)

    def progress(self, job: Job) -> Progress | None:
        answer = perform(self._call(self._job_url(job.job), None, "GET"))
        if answer.status == 404:
            return Progress(RetrainingStatus.FAILED, "the cluster no longer knows the job")
        if not 200 <= answer.status < 300:
            raise refusal(self._call(self._job_url(job.job), None, "GET"), answer)
        progress = self._progress(answer)
        is_done = progress.status is RetrainingStatus.SUCCEEDED
        return self._with_result(progress, job.job) if is_done else progress

    def _progress(self, answer: Answer) -> Progress:
        said = answer.json()
        status = status_of(said.get("status")) if isinstance(said, dict) else None
        if status is None:
            raise PermanentError(f"Ray's answer about the job is not understood: {str(said)[:200]}")
        began, ended = said.get("start_time"), said.get("end_time")
        spent = round((ended - began) / 1000 * self._config.gpus) if began and ended else None
        message = said.get("message")
        return Progress(status, str(message)[:1000] if message else None, None, spent)

    def _with_result(self, progress: Progress, job: str) -> Progress:
        """Return the end of a job with the version it says it made; a log that cannot be had is asked for again."""
        log = deliver(self._call(f"{self._job_url(job)}/logs", None, "GET")).json()
        made = result_of(str(log.get("logs", ""))) if isinstance(log, dict) else {}
        version = made.get("version")
        spent = made.get("gpu_seconds", progress.gpu_seconds)
        return replace(progress, new_version=None if version is None else str(version), gpu_seconds=spent)

    def _job(self, request: RetrainingRequest) -> dict[str, Any]:
        environment = dict(self._config.runtime_env)
        variables = {REQUEST_VARIABLE: orjson.dumps(request_data(request)).decode()}
        environment["env_vars"] = {**environment.get("env_vars", {}), **variables}
        return {
            "entrypoint": self._config.entrypoint,
            "submission_id": request.id,
            "runtime_env": environment,
            "metadata": {"model": request.model, "version": request.version, "rule": request.rule},
            "entrypoint_num_gpus": self._config.gpus,
            "entrypoint_num_cpus": self._config.cpus,
        }

    def _job_url(self, job: str) -> str:
        return f"{self._url}{quote(job, safe='')}"

    def _call(self, url: str, data: Any, method: str) -> Call:
        return json_call(url, data, self._config, method=method).bearing(self._config.token)


def result_of(log: str) -> dict[str, Any]:
    r"""Return what the last result line of a job's log says; empty where there is none.

    >>> result_of('epoch 9\nMLHEALTH_RESULT {"version": "4"}')
    {'version': '4'}
    """
    lines = [line.removeprefix(RESULT) for line in log.splitlines() if line.startswith(RESULT)]
    try:
        said = orjson.loads(lines[-1]) if lines else {}
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}
