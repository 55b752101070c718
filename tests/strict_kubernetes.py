"""An API server that answers as Kubernetes does, for what mlhealth asks of it; a fake of ours, strict about objects.

It creates and returns objects of the kinds it was told of, refuses a name that is taken (409), an object that does not
fit its kind's published schema (422), an unknown resource (404), a missing token (401) and another namespace (403). The
schemas' CEL rules are not evaluated, and nothing runs: a test says how an object does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from kubeflow_trainer_api import models as trainer
from pydantic import ValidationError

from tests.strict_receiver import Answer, Reply, Request

SCHEMAS = Path(__file__).parents[2] / "shared" / "schemas"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_PLACE = re.compile(
    r"/apis/(?P<api>[^/]+/[^/]+)/namespaces/(?P<space>[^/]+)/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?"
)
Check = Callable[[Any], str | None]
"""Returns what is wrong with an object, None where it fits."""


def trainjob_problem(manifest: Any) -> str | None:
    """Check a TrainJob by the models that Kubeflow publishes; keys that they do not know are wrong."""
    try:
        known = trainer.TrainerV1alpha1TrainJob.model_validate(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    again = known.model_dump(mode="json", by_alias=True, exclude_none=True)
    return _unknown_key(manifest.get("spec"), again.get("spec"), "spec")


def _unknown_key(given: Any, known: Any, path: str) -> str | None:
    if isinstance(given, Mapping):
        for key, value in given.items():
            if not isinstance(known, Mapping) or key not in known:
                return f'unknown field "{path}.{key}"'
            if (found := _unknown_key(value, known[key], f"{path}.{key}")) is not None:
                return found
    if isinstance(given, list):
        for index, item in enumerate(given):
            if (found := _unknown_key(item, known[index], f"{path}[{index}]")) is not None:
                return found
    return None


def crd_check(name: str) -> Check | None:
    """Return the check by a kind's published definition; None where that is not at hand."""
    path = SCHEMAS / f"{name}.crd.yaml"
    if not path.is_file():
        return None
    versions = {v["name"]: v["schema"] for v in yaml.safe_load(path.read_text())["spec"]["versions"]}

    def problem(manifest: Any) -> str | None:
        schema = _strict(versions[manifest["apiVersion"].partition("/")[2]]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        found = next(jsonschema.Draft202012Validator(schema).iter_errors(manifest), None)
        return None if found is None else f"{'.'.join(map(str, found.path))}: {found.message}"

    return problem


def _strict(schema: Any) -> Any:
    """Return a definition's schema as one that refuses unknown keys, as an API server with strict fields does."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items()}
    if made.pop("x-kubernetes-int-or-string", False):
        made.pop("type", None)
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if isinstance(made.get("properties"), dict) and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


@dataclass
class Cluster:
    """One namespace of a cluster: its kinds by `apiVersion/plural`, with their checks, and the objects in it."""

    kinds: Mapping[str, Check]
    namespace: str = "training"
    token: str = "t0ken"
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)

    def judge(self, request: Request) -> Answer:
        """Answer one request."""
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized", "Unauthorized")
        place = _PLACE.fullmatch(request.path)
        if place is None or f"{place['api']}/{place['plural']}" not in self.kinds:
            return _status(404, "NotFound", "the server could not find the requested resource")
        if place["space"] != self.namespace:
            return _status(403, "Forbidden", f'cannot use objects in the namespace "{place["space"]}"')
        if request.method == "GET":
            return self._get(place["name"] or "")
        if request.method == "POST" and place["name"] is None:
            return self._create(request.json, place)
        return _status(405, "MethodNotAllowed", "the server does not allow this method on the resource")

    def say(self, name: str, status: Mapping[str, Any], annotations: Mapping[str, str] | None = None) -> None:
        """Let an object have a status, as its controller would write it."""
        self.objects[name]["status"] = dict(status)
        self.objects[name]["metadata"].setdefault("annotations", {}).update(annotations or {})

    def _get(self, name: str) -> Reply:
        if name not in self.objects:
            return _status(404, "NotFound", f'"{name}" not found')
        return Reply(200, json.dumps(self.objects[name]).encode())

    def _create(self, made: Any, place: re.Match[str]) -> Reply:
        metadata = made.get("metadata", {})
        name = metadata.get("name", "")
        if made.get("apiVersion") != place["api"] or f"{made.get('kind', '').lower()}s" != place["plural"]:
            return _status(400, "BadRequest", "the object's kind is not that of the request")
        if metadata.get("namespace", self.namespace) != self.namespace:
            return _status(400, "BadRequest", "the object's namespace is not that of the request")
        problem = None if _NAME.fullmatch(name) and len(name) <= 63 else "metadata.name: Invalid value"
        problem = problem or self.kinds[f"{place['api']}/{place['plural']}"](made)
        if problem is not None:
            return _status(422, "Invalid", f'{made["kind"]} "{name}" is invalid: {problem}')
        if name in self.objects:
            return _status(409, "AlreadyExists", f'{place["plural"]} "{name}" already exists')
        server = {"uid": f"uid-{len(self.objects)}", "resourceVersion": "1"}
        self.objects[name] = made | {"metadata": metadata | server}
        return Reply(201, json.dumps(self.objects[name]).encode())


def _status(code: int, reason: str, message: str) -> Reply:
    said = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }
    return Reply(code, json.dumps(said).encode())
