"""Grafana boards as Grafana's own JSON, and as files for its provisioning."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from mlhealth.dashboards.grafana_boards import boards
from mlhealth.dashboards.grafana_frame import TAG
from mlhealth.dashboards.grafana_things import BOARDS, Document


def documents() -> dict[str, Document]:
    """Return every board as Grafana's JSON, by uid; a tag holds the hash of its content."""
    found: dict[str, Document] = {}
    for board in boards():
        document: Document = json.loads(JSONEncoder().encode(board.build()))
        for number, panel in enumerate(document["panels"], start=1):
            panel["id"] = number
        found[document["uid"]] = BOARDS.marked(document, TAG)
    return found


def export(folder: Path) -> list[Path]:
    """Write one file per board, for Grafana's file provisioning; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for uid, document in documents().items():
        path = folder / f"{uid}.json"
        path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        paths.append(path)
    return paths
