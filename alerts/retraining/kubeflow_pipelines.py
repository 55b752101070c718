"""Kubeflow Pipelines: the request is a run of a pipeline version, by the v2beta1 REST API.

API: https://www.kubeflow.org/docs/components/pipelines/reference/api/kubeflow-pipeline-api-spec/. Runs have no
idempotency key: the run's display name is the request's id, and a run of that name is looked for before one is made.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import orjson

from mlhealth.alerts.notifiers.http import Call, deliver, json_call, perform, refusal
from mlhealth.alerts.retraining.base import (
    Job,
    Progress,
    Submission,
    TrainingService,
    request_data,
    status_of,
)
from mlhealth.config.receivers import KubeflowPipelinesConfig
from mlhealth.errors import DeliveryError, PermanentError
from mlhealth.records import RetrainingRequest, RetrainingStatus

REQUEST = "mlhealth_request"
"""The pipeline parameter that carries the whole request, as JSON text."""


class KubeflowPipelines(TrainingService):
    """Starts runs of one pipeline version."""

    kind: ClassVar[str] = "kubeflow_pipelines"

    def __init__(self, config: KubeflowPipelinesConfig) -> None:
        self._config = config
        self._url = f"{str(config.url).rstrip('/')}/apis/v2beta1/runs"

    def submit(self, request: RetrainingRequest) -> Submission:
        known = self._run_of(request)
        if known is None:
            known = self._object(self._call(self._url, self._run(request), "POST"))
        if not known.get("run_id"):
            raise DeliveryError("Kubeflow Pipelines answered a run without a run_id")
        return Submission(str(known["run_id"]))

    def progress(self, job: Job) -> Progress | None:
        call = self._call(f"{self._url}/{quote(job.job, safe='')}", None, "GET")
        answer = perform(call)
        if answer.status == 404:
            return Progress(RetrainingStatus.FAILED, "Kubeflow Pipelines no longer knows the run")
        if not 200 <= answer.status < 300:
            raise refusal(call, answer)
        return self._progress(answer.json())

    def _progress(self, run: Any) -> Progress:
        said = run.get("state") if isinstance(run, dict) else None
        status = RetrainingStatus.RUNNING if said in _STOPPING else status_of(said)
        if status is None:
            raise PermanentError(f"the state of the pipeline run is not understood: {str(run)[:200]}")
        message = (run.get("error") or {}).get("message")
        return Progress(status, str(message)[:1000] if message else None, gpu_seconds=self._spent(run))

    def _spent(self, run: dict[str, Any]) -> int | None:
        times = [run.get("created_at"), run.get("finished_at")]
        if not all(isinstance(time, str) for time in times):
            return None
        began, ended = (datetime.fromisoformat(str(time)) for time in times)
        return math.ceil((ended - began).total_seconds() * self._config.gpus)

    def _run_of(self, request: RetrainingRequest) -> dict[str, Any] | None:
        """Return the run that an attempt whose answer was lost has made, if any."""
        wanted = {"operation": "EQUALS", "key": "display_name", "string_value": request.id}
        query = {"filter": orjson.dumps({"predicates": [wanted]}).decode()}
        if self._config.experiment_id:
            query["experiment_id"] = self._config.experiment_id
        found = self._object(self._call(f"{self._url}?{urlencode(query)}", None, "GET"))
        return next((run for run in found.get("runs") or () if run.get("display_name") == request.id), None)

    def _run(self, request: RetrainingRequest) -> dict[str, Any]:
        config, data = self._config, request_data(request)
        named = {name: data[field] for name, field in config.parameters.items()}
        reference = {"pipeline_id": config.pipeline_id, "pipeline_version_id": config.pipeline_version_id}
        run: dict[str, Any] = {
            "display_name": request.id,
            "description": f"{request.model} {request.version}: {request.reason}",
            "pipeline_version_reference": {k: v for k, v in reference.items() if v},
            "runtime_config": {"parameters": {REQUEST: orjson.dumps(data).decode(), **named}},
        }
        chosen = {"experiment_id": config.experiment_id, "service_account": config.service_account}
        return run | {name: value for name, value in chosen.items() if value}

    def _object(self, call: Call) -> dict[str, Any]:
        data = deliver(call).json()
        if not isinstance(data, dict):
            raise DeliveryError("Kubeflow Pipelines answered JSON that is no object")
        return data

    def _call(self, url: str, data: Any, method: str) -> Call:
        return json_call(url, data, self._config, method=method).bearing(self._config.token)


_STOPPING = frozenset({"CANCELING", "PAUSED"})
