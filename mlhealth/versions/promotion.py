"""Promotion and rollback by a person: the registry's alias, the champion's marker and the audit trail, together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mlhealth.alerts.model_registry import ModelRegistry
from mlhealth.alerts.model_registry import promote as promote_at
from mlhealth.alerts.model_registry import roll_back as roll_back_at
from mlhealth.clock import Clock
from mlhealth.errors import ConflictError, NotFoundError
from mlhealth.queries.versions import versions
from mlhealth.store import markers
from mlhealth.store.database import Database

POLICY = "mlhealth"
"""The hand of a policy."""


@dataclass(frozen=True)
class Hand:
    """Who acts, and why."""

    by: str
    note: str


@dataclass(frozen=True)
class Promotion:
    """What promoting works with; `registry` is None where none is configured."""

    database: Database
    registry: ModelRegistry | None
    clock: Clock

    def promote(self, model: str, version: str, hand: Hand) -> str:
        """Make a version the champion; return what was done. Raises NotFoundError, or the registry's errors."""
        known = {line.version: line for line in versions(self.database, model)}
        if version not in known:
            raise NotFoundError(f"{model} has no version {version}; known are {', '.join(known)}")
        if known[version].state == "retired":
            raise ConflictError(f"version {version} of {model} is retired")
        return self.crown(model, version, "promote", hand)

    def crown(self, model: str, version: str, kind: Literal["promote", "rollback"], hand: Hand) -> str:
        """Make a live version the champion, whoever is now; return what was done."""
        moved = None if self.registry is None else promote_at(self.registry, model, version)
        self.mark(model, version, kind, hand)
        return f"version {version} of {model} is the champion" + (f"; {moved.text}" if moved else "")

    def roll_back(self, model: str, hand: Hand) -> str:
        """Make the champion before the present one the champion again; raises ConflictError where there was none."""
        with self.database.read() as connection:
            crowned = markers.champions(connection, model)
        before = next((version for version in crowned if version != crowned[0]), None)
        if before is None:
            raise ConflictError(f"{model} has had no champion before; promote a version instead")
        moved = None if self.registry is None else roll_back_at(self.registry, model, crowned[0], before)
        self.mark(model, before, "rollback", hand)
        return f"version {before} of {model} is the champion again" + (f"; {moved.text}" if moved else "")

    def mark(self, model: str, version: str, kind: str, hand: Hand) -> None:
        """Write down that a version became the champion, without moving anything at the registry."""
        now = self.clock.now()
        with self.database.begin() as connection:
            markers.hold(connection, model)
            if hand.by == POLICY and markers.champions(connection, model)[:1] == [version]:
                return  # another process was quicker
            markers.mark(connection, markers.Marker(model, version, kind, now, hand.note, hand.by), now)
