"""A registry that answers as MLflow's REST API does, for what mlhealth asks of it; ours, strict about every key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.strict_receiver import Answer, Reply, Request

PREFIX = "/api/2.0/mlflow/"


def refused(status: int, code: str, message: str) -> Reply:
    """Return an error in MLflow's form."""
    return Reply(status, json.dumps({"error_code": code, "message": message}).encode())


@dataclass
class Registered:
    """One registered model."""

    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)


@dataclass
class Mlflow:
    """The registry's memory."""

    models: dict[str, Registered] = field(default_factory=dict)
    token: str | None = None

    def judge(self, request: Request) -> Answer:
        """Answer one request."""
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return refused(401, "UNAUTHENTICATED", "who are you?")
        place = urlsplit(request.path)
        name = place.path.removeprefix(PREFIX)
        if request.method == "GET":
            data = {key: values[0] for key, values in parse_qs(place.query).items()}
            return self._alias(data) if name == "registered-models/alias" else Reply(404)
        acts = {"registered-models/alias": self._set_alias, "model-versions/set-tag": self._set_tag}
        return acts[name](request.json) if name in acts else Reply(404)

    def _alias(self, data: Mapping[str, str]) -> Answer:
        assert set(data) == {"name", "alias"}
        model = self.models.get(data["name"])
        if model is None:
            return refused(
                404, "RESOURCE_DOES_NOT_EXIST", f"Registered Model with name={data['name']} not found"
            )
        if data["alias"] not in model.aliases:
            message = f"Registered model alias {data['alias']} not found."
            return refused(400, "INVALID_PARAMETER_VALUE", message)
        version = model.aliases[data["alias"]]
        return Reply(200, json.dumps({"model_version": {"name": data["name"], "version": version}}).encode())

    def _set_alias(self, data: Mapping[str, Any]) -> Answer:
        assert set(data) == {"name", "alias", "version"}
        if (missing := self._missing(data)) is not None:
            return missing
        self.models[data["name"]].aliases[data["alias"]] = data["version"]
        return Reply()

    def _set_tag(self, data: Mapping[str, Any]) -> Answer:
        assert set(data) == {"name", "version", "key", "value"}
        if (missing := self._missing(data)) is not None:
            return missing
        self.models[data["name"]].versions[data["version"]][data["key"]] = data["value"]
        return Reply()

    def _missing(self, data: Mapping[str, Any]) -> Reply | None:
        model = self.models.get(data["name"])
        if model is None or data["version"] not in model.versions:
            return refused(404, "RESOURCE_DOES_NOT_EXIST", f"Model Version (name={data['name']}) not found")
        return None
