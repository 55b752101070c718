"""A model registry: which version of a model is deployed, and moving that on promotion or rollback.

Registries hold an alias per model; deploying follows the alias. A model version's name at mlhealth is the version's
name in the registry.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass


class ModelRegistry(ABC):
    """One registry; immutable. Every method may block, and raises DeliveryError or PermanentError."""

    @abstractmethod
    def deployed(self, model: str) -> str | None:
        """Return the version that the alias names; None where the alias is not set."""

    @abstractmethod
    def deploy(self, model: str, version: str) -> None:
        """Let the alias name `version`; doing it twice is the same."""

    @abstractmethod
    def tag(self, model: str, version: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""


@dataclass(frozen=True)
class Move:
    """What was done to the alias, in words; `version` is what it names now, None where it was left alone."""

    text: str
    version: str | None = None


def promote(registry: ModelRegistry, model: str, version: str) -> Move:
    """Let the alias name `version`, unless it does already."""
    before = registry.deployed(model)
    if before == version:
        return Move(f"version {version} was deployed already")
    registry.deploy(model, version)
    return Move(f"promoted version {version}{f', was {before}' if before else ''}", version)


def roll_back(registry: ModelRegistry, model: str, failed: str, to: str) -> Move:
    """Let the alias name `to` again, if it still names `failed`: what somebody moved meanwhile is left alone."""
    now = registry.deployed(model)
    if now == to:
        return Move(f"version {to} is deployed: nothing to roll back")
    if now != failed:
        return Move(f"not rolled back: version {now} is deployed, neither {failed} nor {to}")
    registry.deploy(model, to)
    return Move(f"rolled back from version {failed} to {to}", to)
