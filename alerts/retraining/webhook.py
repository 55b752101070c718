"""A training service behind a plain HTTP address: Airflow, Argo Events, CI systems, a team's own.

POST of a CloudEvent with an `idempotency-key` (and Standard-Webhooks signature headers, given a secret). The service
answers 2xx with JSON `{"job": "...", "status_url": "..."}` (`job_id` and `id`, and the Location header, are taken
too). Its status is JSON `{"status": "running", "version": "4", "detail": "...", "gpu_seconds": 12}`; services that
cannot be asked post the same to the callback address instead.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar
from urllib.parse import quote, urljoin

from mlhealth.alerts.notifiers.http import Answer, Call, deliver, json_call
from mlhealth.alerts.notifiers.webhook import signed, signer
from mlhealth.alerts.retraining.base import Job, Progress, Submission, TrainingService, cloud_event
from mlhealth.alerts.retraining.progress import progress_of
from mlhealth.config.receivers import TrainingWebhookConfig
from mlhealth.errors import DeliveryError
from mlhealth.records import RetrainingRequest


class WebhookTraining(TrainingService):
    """Posts requests to one address and follows the job at the address it is told."""

    kind: ClassVar[str] = "webhook"

    def __init__(self, config: TrainingWebhookConfig) -> None:
        self._config = config
        self._signer = signer(config.secret.get_secret_value()) if config.secret else None

    def submit(self, request: RetrainingRequest) -> Submission:
        call = self._call(str(self._config.url), cloud_event(request), "POST")
        extra = {"content-type": "application/cloudevents+json", "idempotency-key": request.id}
        answer = deliver(signed(call.adding(extra), self._signer, request.id, time.time_ns() // 1_000))
        return self._submission(answer, request)

    def progress(self, job: Job) -> Progress | None:
        if job.status_url is None:
            return None
        data = deliver(self._call(job.status_url, None, "GET")).json()
        return progress_of(data)

    def _submission(self, answer: Answer, request: RetrainingRequest) -> Submission:
        data = _object(answer) if answer.body.strip() else {}
        job = next((str(data[k]) for k in ("job", "job_id", "id") if data.get(k) is not None), request.id)
        given = data.get("status_url") or answer.headers.get("location")
        if given:
            return Submission(job, urljoin(str(self._config.url), str(given)))
        template = self._config.status_url
        return Submission(job, template.replace("{job}", quote(job, safe="")) if template else None)

    def _call(self, url: str, data: Any, method: str) -> Call:
        return json_call(url, data, self._config, method=method).bearing(self._config.token)


def _object(answer: Answer) -> dict[str, Any]:
    data = answer.json()
    if not isinstance(data, dict):
        raise DeliveryError("the training service answered JSON that is no object")
    return data
