"""Training services by kind: every `TrainingService` found in this room, one file each, named as in mlhealth.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from mlhealth.alerts.retraining.base import TrainingService
from mlhealth.errors import ConfigError
from mlhealth.receiver_config import TRAINING_KINDS, TrainingConfig


def service_class(kind: str) -> type[TrainingService]:
    """Return the class of a kind of training service; raises ConfigError where its extra is not installed."""
    if kind not in TRAINING_KINDS:
        raise ConfigError(
            f"there is no kind of training service {kind}; known are {', '.join(TRAINING_KINDS)}"
        )
    try:
        module = import_module(f"mlhealth.alerts.retraining.{kind}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"training service {kind}: {error.name} is not installed; install mlhealth[service]"
        ) from None
    found = [c for c in vars(module).values() if isinstance(c, type) and getattr(c, "kind", None) == kind]
    cls: type[TrainingService] = found[0]
    return cls


def training_config(name: str, given: TrainingConfig | Mapping[str, Any]) -> TrainingConfig:
    """Return a service's settings, checked; raises ConfigError naming the service and key."""
    if isinstance(given, TrainingConfig):
        return given
    try:
        return TrainingConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in ("training", name, *first["loc"]))
        raise ConfigError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from None


def training_service(name: str, given: TrainingConfig | Mapping[str, Any]) -> TrainingService:
    """Return the service that is configured under `name`."""
    config = training_config(name, given)
    make: Callable[[Any], TrainingService] = service_class(config.kind)
    return make(getattr(config, config.kind))
