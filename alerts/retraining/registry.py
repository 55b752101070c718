"""Training services by kind: every `TrainingService` found in this room, one file each, named as in mlhealth.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlhealth.alerts.kinds import Room
from mlhealth.alerts.retraining.base import TrainingService
from mlhealth.config.receivers import TRAINING_KINDS, TrainingConfig

_ROOM = Room("mlhealth.alerts.retraining", "training service", "training", TRAINING_KINDS)


def service_class(kind: str) -> type[TrainingService]:
    """Return the class of a kind of training service; raises ConfigError where its extra is not installed."""
    found: type[TrainingService] = _ROOM.class_of(kind)
    return found


def training_config(name: str, given: TrainingConfig | Mapping[str, Any]) -> TrainingConfig:
    """Return a service's settings, checked; raises ConfigError naming the service and key."""
    return _ROOM.settings(TrainingConfig, name, given)


def training_service(name: str, given: TrainingConfig | Mapping[str, Any]) -> TrainingService:
    """Return the service that is configured under `name`."""
    config = training_config(name, given)
    made: TrainingService = _ROOM.class_of(config.kind)(getattr(config, config.kind))
    return made
