"""MLflow's model registry over its REST API; MLflow itself is not needed.

API: https://mlflow.org/docs/latest/api_reference/rest-api.html - get, set and tag by registered model alias. Stages are
deprecated there and not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from mlhealth.alerts.model_registry import ModelRegistry
from mlhealth.alerts.notifiers.http import Answer, Call, json_call, perform, refusal
from mlhealth.config.receivers import MlflowConfig, RegistryConfig
from mlhealth.errors import DeliveryError, PermanentError

_ALIAS = "registered-models/alias"


class MlflowRegistry(ModelRegistry):
    """The registered models of one tracking server."""

    def __init__(self, config: MlflowConfig) -> None:
        self._config = config
        self._url = f"{str(config.url).rstrip('/')}/api/2.0/mlflow/"

    def deployed(self, model: str) -> str | None:
        name = self._name(model)
        query = urlencode({"name": name, "alias": self._config.alias})
        call = self._call(f"{_ALIAS}?{query}", None, "GET")
        answer = perform(call)
        if _is_unset(answer, self._config.alias):
            return None
        found = self._checked(call, answer).get("model_version")
        if not isinstance(found, dict) or not found.get("version"):
            raise DeliveryError("MLflow answered an alias without a model version")
        return str(found["version"])

    def deploy(self, model: str, version: str) -> None:
        data = {"name": self._name(model), "alias": self._config.alias, "version": version}
        self._post(_ALIAS, data)

    def tag(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            data = {"name": self._name(model), "version": version, "key": key, "value": value}
            self._post("model-versions/set-tag", data)

    def _name(self, model: str) -> str:
        return self._config.names.get(model, model)

    def _post(self, path: str, data: Mapping[str, str]) -> None:
        call = self._call(path, data, "POST")
        self._checked(call, perform(call))

    def _checked(self, call: Call, answer: Answer) -> dict[str, Any]:
        if not 200 <= answer.status < 300:
            raise refusal(call, answer)
        data = answer.json()
        if not isinstance(data, dict):
            raise PermanentError("MLflow answered JSON that is no object")
        return data

    def _call(self, path: str, data: Any, method: str) -> Call:
        call = json_call(self._url + path, data, self._config, method=method)
        return call.bearing(self._config.token)


def _is_unset(answer: Answer, alias: str) -> bool:
    """Whether MLflow says that the model has no such alias (and not that there is no such model)."""
    if answer.status not in (400, 404) or "json" not in answer.headers.get("content-type", ""):
        return False
    said = answer.json()
    message = str(said.get("message", "")).lower() if isinstance(said, dict) else ""
    return f"alias {alias.lower()} not found" in message


def configured_registry(config: RegistryConfig | None) -> ModelRegistry | None:
    """Return the registry of a configuration; None where it names none."""
    return None if config is None else MlflowRegistry(config.mlflow)
