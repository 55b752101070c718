"""Receivers by kind: every `Notifier` found in this room, one file each, named as in mlhealth.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from mlhealth.alerts.notifiers.base import Notifier
from mlhealth.errors import ConfigError
from mlhealth.receiver_config import RECEIVER_KINDS, ReceiverConfig


def notifier_class(kind: str) -> type[Notifier]:
    """Return the class of a kind of receiver; raises ConfigError where its extra is not installed."""
    if kind not in RECEIVER_KINDS:
        raise ConfigError(f"there is no kind of receiver {kind}; known are {', '.join(RECEIVER_KINDS)}")
    try:
        module = import_module(f"mlhealth.alerts.notifiers.{kind}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"receiver {kind}: {error.name} is not installed; install mlhealth[service]"
        ) from None
    found = [c for c in vars(module).values() if isinstance(c, type) and getattr(c, "kind", None) == kind]
    cls: type[Notifier] = found[0]
    return cls


def receiver_config(name: str, given: ReceiverConfig | Mapping[str, Any]) -> ReceiverConfig:
    """Return a receiver's settings, checked; raises ConfigError naming the receiver and key."""
    if isinstance(given, ReceiverConfig):
        return given
    try:
        return ReceiverConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in ("receivers", name, *first["loc"]))
        raise ConfigError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from None


def notifier(name: str, given: ReceiverConfig | Mapping[str, Any]) -> Notifier:
    """Return the receiver that is configured under `name`."""
    config = receiver_config(name, given)
    make: Callable[[Any], Notifier] = notifier_class(config.kind)
    return make(getattr(config, config.kind))
