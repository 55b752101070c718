"""Receivers by kind: every `Notifier` found in this room, one file each, named as in mlhealth.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlhealth.alerts.kinds import Room
from mlhealth.alerts.notifiers.base import Notifier
from mlhealth.config.receivers import RECEIVER_KINDS, ReceiverConfig

_ROOM = Room("mlhealth.alerts.notifiers", "receiver", "receivers", RECEIVER_KINDS)


def notifier_class(kind: str) -> type[Notifier]:
    """Return the class of a kind of receiver; raises ConfigError where its extra is not installed."""
    found: type[Notifier] = _ROOM.class_of(kind)
    return found


def receiver_config(name: str, given: ReceiverConfig | Mapping[str, Any]) -> ReceiverConfig:
    """Return a receiver's settings, checked; raises ConfigError naming the receiver and key."""
    return _ROOM.settings(ReceiverConfig, name, given)


def notifier(name: str, given: ReceiverConfig | Mapping[str, Any]) -> Notifier:
    """Return the receiver that is configured under `name`."""
    config = receiver_config(name, given)
    made: Notifier = _ROOM.class_of(config.kind)(getattr(config, config.kind))
    return made
