"""Grafana boards as files for provisioning, or pushed to a running Grafana without overwriting what people changed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grafana_client import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from mlhealth.dashboards.grafana_boards import TAG, boards
from mlhealth.errors import ConflictError, DeliveryError

FOLDER = "mlhealth"
_MARK = f"{TAG}-content-"
_NOT_CONTENT = frozenset({"id", "version", "tags", "iteration", "schemaVersion"})


@dataclass(frozen=True)
class Pushed:
    """What became of one board: `created`, `updated`, `unchanged`, or `kept` since a person had changed it."""

    uid: str
    outcome: str


def documents() -> dict[str, dict[str, Any]]:
    """Return every board as Grafana's JSON, by uid; a tag holds the hash of its content."""
    found: dict[str, dict[str, Any]] = {}
    for board in boards():
        document = json.loads(JSONEncoder().encode(board.build()))
        for number, panel in enumerate(document["panels"], start=1):
            panel["id"] = number
        document["tags"] = [TAG, f"{_MARK}{content_hash(document)}"]
        found[document["uid"]] = document
    return found


def content_hash(document: dict[str, Any]) -> str:
    """Return a hash of what people would see of a board."""
    content = {name: value for name, value in document.items() if name not in _NOT_CONTENT}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def export(folder: Path) -> list[Path]:
    """Write one file per board, for Grafana's file provisioning; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for uid, document in documents().items():
        path = folder / f"{uid}.json"
        path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def push(url: str, token: str, *, overwrite: bool = False) -> list[Pushed]:
    """Bring a Grafana's boards up to these; a board that a person changed is kept unless `overwrite`.

    Raises ConflictError where Grafana refuses, DeliveryError where it does not answer.
    """
    api = GrafanaApi.from_url(url, credential=token, timeout=10.0)
    try:
        _ensure_folder(api)
        return [_push(api, document, overwrite=overwrite) for document in documents().values()]
    except GrafanaClientError as error:
        raise ConflictError(f"grafana {url}: {error.message}; does the token have the role Editor?") from None
    except (GrafanaException, OSError) as error:
        raise DeliveryError(f"grafana {url}: {error}") from None


def _ensure_folder(api: GrafanaApi) -> None:
    try:
        api.folder.get_folder(FOLDER)
    except GrafanaClientError as error:
        if error.status_code != 404:
            raise
        api.folder.create_folder(FOLDER, uid=FOLDER)


def _push(api: GrafanaApi, document: dict[str, Any], *, overwrite: bool) -> Pushed:
    uid = str(document["uid"])
    standing = _standing(api, uid)
    if standing is None:
        outcome, version = "created", None
    elif content_hash(standing) == content_hash(document):
        return Pushed(uid, "unchanged")
    elif not overwrite and f"{_MARK}{content_hash(standing)}" not in standing.get("tags", ()):
        return Pushed(uid, "kept")
    else:
        outcome, version = "updated", standing.get("version")
    sent = document if version is None else document | {"version": version}
    api.dashboard.update_dashboard(
        {"dashboard": sent, "folderUid": FOLDER, "message": "mlhealth", "overwrite": overwrite}
    )
    return Pushed(uid, outcome)


def _standing(api: GrafanaApi, uid: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = api.dashboard.get_dashboard(uid)["dashboard"]
    except GrafanaClientError as error:
        if error.status_code != 404:
            raise
        return None
    return found
