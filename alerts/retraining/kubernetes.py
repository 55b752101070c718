"""Kubernetes: an object made from the user's template, whatever trains there: TrainJob, RayJob, AppWrapper, Job.

The template is YAML; `{{ model }}`, `{{ data_start }}` and the like are filled in inside its texts only, so that no
value can change the object's shape. The object is named after the request, so a repetition is a conflict and no
second job. Without `url` the pod's own service account is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import orjson
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import SecretStr

from mlhealth.alerts.notifiers.http import Answer, Call, json_call, perform, refusal
from mlhealth.alerts.retraining.base import (
    Job,
    Progress,
    Submission,
    TrainingService,
    request_data,
    status_of,
)
from mlhealth.config.receivers import KubernetesConfig
from mlhealth.config.strict_yaml import read
from mlhealth.errors import ConfigError, PermanentError
from mlhealth.records import RetrainingRequest, RetrainingStatus

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER = "https://kubernetes.default.svc"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
VERSION_ANNOTATION = "mlhealth.dev/new-version"
_CONDITIONS = {"Complete": RetrainingStatus.SUCCEEDED, "Succeeded": RetrainingStatus.SUCCEEDED,
               "Failed": RetrainingStatus.FAILED}  # fmt: skip


class KubernetesTraining(TrainingService):
    """Creates one object per request in one namespace."""

    kind: ClassVar[str] = "kubernetes"

    def __init__(self, config: KubernetesConfig) -> None:
        """Read the template; raises ConfigError where it is no Kubernetes object or names what no request has."""
        self._config = config
        self._template = read(config.template)
        example = dict.fromkeys((*_NAMES, "evidence", "request"), "example")
        made = self._fill(example)
        for key in ("apiVersion", "kind"):
            if not isinstance(made, dict) or not isinstance(made.get(key), str):
                raise self._template.error((key,), f"a Kubernetes object needs {key}")

    def submit(self, request: RetrainingRequest) -> Submission:
        manifest = self.manifest(request)
        call = self._call(self._collection(manifest), manifest, "POST")
        answer = perform(call)
        if answer.status != 409 and not 200 <= answer.status < 300:
            raise refusal(call, answer)
        return Submission(request.id)

    def progress(self, job: Job) -> Progress | None:
        manifest = self.manifest(job.request)
        call = self._call(f"{self._collection(manifest)}/{job.job}", None, "GET")
        answer = perform(call)
        if answer.status == 404:
            return Progress(RetrainingStatus.FAILED, "the object is gone from the cluster")
        if not 200 <= answer.status < 300:
            raise refusal(call, answer)
        return progress_of(answer)

    def manifest(self, request: RetrainingRequest) -> dict[str, Any]:
        """Return the object of a request; raises ConfigError where the template fails."""
        data = request_data(request)
        texts = {name: str(data[name]) for name in _NAMES}
        evidence = orjson.dumps(data["evidence"]).decode()
        made = self._fill(texts | {"evidence": evidence, "request": orjson.dumps(data).decode()})
        metadata = made.setdefault("metadata", {})
        metadata |= {"name": request.id, "namespace": self._config.namespace}
        metadata["labels"] = {**metadata.get("labels", {}), "app.kubernetes.io/managed-by": "mlhealth"}
        if self._config.queue is not None:
            metadata["labels"][QUEUE_LABEL] = self._config.queue
        return dict(made)

    def _fill(self, names: dict[str, str]) -> Any:
        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)

        def filled(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: filled(item) for key, item in value.items()}
            if isinstance(value, list):
                return [filled(item) for item in value]
            return environment.from_string(value).render(names) if isinstance(value, str) else value

        try:
            return filled(self._template.data)
        except TemplateError as error:
            raise ConfigError(
                f"{self._config.template}: the template fails: {error}; known are {', '.join(names)}"
            ) from None

    def _collection(self, manifest: dict[str, Any]) -> str:
        version = manifest["apiVersion"]
        root = "apis" if "/" in version else "api"
        base = str(self._config.url or IN_CLUSTER).rstrip("/")
        return f"{base}/{root}/{version}/namespaces/{self._config.namespace}/{manifest['kind'].lower()}s"

    def _call(self, url: str, data: Any, method: str) -> Call:
        token, settings = self._config.token, self._config
        if self._config.url is None:
            settings = settings.model_copy(update={"ca_file": str(ACCOUNT / "ca.crt")})
            token = token or _account_token()
        return json_call(url, data, settings, method=method).bearing(token)


_NAMES = ("request_id", "model", "version", "rule", "reason", "data_start", "data_end")


def progress_of(answer: Answer) -> Progress:
    """Return how the object does, from its conditions, or the words RayJob and AppWrapper have for it."""
    said = answer.json()
    if not isinstance(said, dict):
        raise PermanentError("the API server's answer is no object")
    status = said.get("status") or {}
    version = (said.get("metadata", {}).get("annotations") or {}).get(VERSION_ANNOTATION)
    for condition in status.get("conditions") or []:
        if condition.get("status") == "True" and condition.get("type") in _CONDITIONS:
            return Progress(_CONDITIONS[condition["type"]], condition.get("message"), version)
    for word in (status.get("jobStatus"), status.get("phase"), status.get("jobDeploymentStatus")):
        known = status_of(word) if word else None
        if known is not None:
            return Progress(known, status.get("message"), version)
    return Progress(RetrainingStatus.SUBMITTED)


def _account_token() -> SecretStr:
    try:
        return SecretStr((ACCOUNT / "token").read_text().strip())
    except OSError:
        raise PermanentError(
            "kubernetes: no url is configured and this is no pod with a service account"
        ) from None
