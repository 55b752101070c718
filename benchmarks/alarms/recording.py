"""Judged windows on disk, a line each as they are judged: a run that is cut short goes on where it ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.alarms.judging_records import Judged


class Recording:
    """The judged windows of one table; different tables may be judged by different processes.

    `known`: by key; None for a window that the table does not have, or of which nothing could be said.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._windows, self._peers = folder / f"{name}.jsonl", folder / f"{name}.peers.jsonl"
        self.known: dict[str, Judged | None] = {
            line["key"]: None if line["judged"] is None else Judged.from_data(line["judged"])
            for line in _lines(self._windows)
        }
        self._said: dict[str, dict[str, bool]] = {}
        for line in _lines(self._peers):
            self._said.setdefault(line["key"], {}).update(line["rules"])

    def keep(self, key: str, judged: Judged | None) -> None:
        """Add a window that was judged just now."""
        self.known[key] = judged
        _append(self._windows, {"key": key, "judged": None if judged is None else judged.to_data()})

    def needs(self, key: str, peer: str) -> bool:
        """Whether a window was judged that a peer has not been asked about."""
        asked = any(rule.startswith(peer) for rule in self._said.get(key, {}))
        return self.known.get(key) is not None and not asked

    def keep_peers(self, answers: Mapping[str, Mapping[str, bool]]) -> None:
        """Add what a peer's rules say of windows, by their keys."""
        for key, rules in answers.items():
            self._said.setdefault(key, {}).update(rules)
            _append(self._peers, {"key": key, "rules": dict(rules)})

    def of(self, keys: Iterable[str]) -> list[Judged]:
        """Return the judged windows among `keys`, with what peers say of them."""
        found = [judged for key in keys if (judged := self.known.get(key)) is not None]
        return [replace(judged, peers=self._said.get(judged.key, {})) for judged in found]


def _append(file: Path, line: Mapping[str, Any]) -> None:
    with file.open("a") as out:
        out.write(json.dumps(line) + "\n")


def _lines(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    text = file.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        # A run that was killed may have left half a line.
        file.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]
