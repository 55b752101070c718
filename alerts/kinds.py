"""Peers by kind: the class of a receiver or training service, found in the file of its name, and its settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from pydantic import ValidationError

from mlhealth.config.strict_model import Strict
from mlhealth.errors import ConfigError

SettingsT = TypeVar("SettingsT", bound=Strict)


@dataclass(frozen=True)
class Room:
    """A package with one peer class per file. `word` names one in messages, `section` is its key in mlhealth.yaml."""

    package: str
    word: str
    section: str
    kinds: Collection[str]

    def class_of(self, kind: str) -> Any:
        """Return the class of a kind; raises ConfigError where there is none or its extra is not installed."""
        if kind not in self.kinds:
            raise ConfigError(f"there is no kind of {self.word} {kind}; known are {', '.join(self.kinds)}")
        try:
            module = import_module(f"{self.package}.{kind}")
        except ModuleNotFoundError as error:
            extra = "apprise" if error.name == "apprise" else "service"
            raise ConfigError(
                f"{self.word} {kind}: {error.name} is not installed; install mlhealth[{extra}]"
            ) from None
        return next(
            c for c in vars(module).values() if isinstance(c, type) and getattr(c, "kind", "") == kind
        )

    def settings(self, model: type[SettingsT], name: str, given: SettingsT | Mapping[str, Any]) -> SettingsT:
        """Return the settings under `name`, checked; raises ConfigError naming the section, name and key."""
        if isinstance(given, model):
            return given
        try:
            return model.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in (self.section, name, *first["loc"]))
            raise ConfigError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from None
