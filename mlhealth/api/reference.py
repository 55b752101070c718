"""The API's reference as a page needs it, from the OpenAPI description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Route:
    """One operation."""

    verb: str
    path: str
    summary: str
    description: str
    parameters: tuple[Mapping[str, Any], ...]


def reference(openapi: Mapping[str, Any]) -> dict[str, list[Route]]:
    """Return the operations of an OpenAPI description by their first tag."""
    groups: dict[str, list[Route]] = {}
    for path, verbs in openapi["paths"].items():
        for verb, operation in verbs.items():
            tag = operation.get("tags", ["other"])[0]
            text = operation.get("description", "")
            route = Route(
                verb, path, operation.get("summary", ""), text, tuple(operation.get("parameters", ()))
            )
            groups.setdefault(tag, []).append(route)
    return groups
