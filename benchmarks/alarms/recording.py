"""Judged windows on disk, a line each as they are judged: a run that is cut short goes on where it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks.alarms.judging_records import Judged
from mlhealth.budget.limits import BudgetLimits


@dataclass(frozen=True)
class _Fitted:
    """What is kept of a table beside its windows."""

    losses: dict[str, float] = field(default_factory=dict)
    limits: list[tuple[str, str, BudgetLimits]] = field(default_factory=list)


_FITTED = TypeAdapter(_Fitted)


class Recording:
    """The judged windows of one table; different tables may be judged by different processes.

    `known`: by key; None for a window that the table does not have, or of which nothing could be said. `losses`: true
    losses of treatments by number. `limits`: what the baseline's budgets ask for, empty before one was fitted.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._windows, self._peers = folder / f"{name}.jsonl", folder / f"{name}.peers.jsonl"
        self.known: dict[str, Judged | None] = {
            line["key"]: None if line["judged"] is None else Judged.from_data(line["judged"])
            for line in _lines(self._windows)
        }
        self._fitted = folder / f"{name}.fitted.json"
        fitted = _FITTED.validate_json(self._fitted.read_bytes()) if self._fitted.exists() else _Fitted()
        self.losses = dict(fitted.losses)
        self.limits = {(null, rate): limits for null, rate, limits in fitted.limits}
        self._said: dict[str, dict[str, bool]] = {}
        for line in _lines(self._peers):
            self._said.setdefault(line["key"], {}).update(line["rules"])

    def keep_fitted(self, limits: Mapping[tuple[str, str], BudgetLimits]) -> None:
        """Keep the losses measured and the limits of a baseline that was fitted."""
        self.limits = dict(limits)
        fitted = _Fitted(self.losses, [(null, rate, one) for (null, rate), one in limits.items()])
        self._fitted.write_bytes(_FITTED.dump_json(fitted))

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

    def judged(self) -> list[Judged]:
        """Return the judged windows, with what peers say of them."""
        found = [judged for judged in self.known.values() if judged is not None]
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
