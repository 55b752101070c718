"""Alerting as one part of a running service: rules read and re-read, receivers and training services, their threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlhealth.alerts.dispatch import Dispatcher, Options, Receiver
from mlhealth.alerts.notifiers.registry import notifier, receiver_config
from mlhealth.alerts.retraining.follower import Follower, Service
from mlhealth.alerts.retraining.follower import Options as FollowOptions
from mlhealth.alerts.retraining.registry import training_config, training_service
from mlhealth.alerts.rules import DEFAULT_RULES, Known, RuleSet, load_rules
from mlhealth.alerts.watchdog import Watchdog
from mlhealth.config.receivers import ReceiverConfig, TrainingConfig, WatchdogConfig
from mlhealth.errors import ConfigError
from mlhealth.store.database import Database
from mlhealth.versions.steward import Steward

LOG = logging.getLogger("mlhealth.alerts")

Stamp = tuple[tuple[str, int, int], ...]


class RuleBook:
    """The rules in force, re-read when their files change; a file that became wrong leaves the old rules in force."""

    def __init__(self, files: Sequence[str], known: Known) -> None:
        """Read the files (the default rules where there are none); raises ConfigError at their first mistake."""
        self._files = tuple(files) or (str(DEFAULT_RULES),)
        self._known = known
        self._stamp = self._look()
        self._rules = load_rules(self._files, known)
        self.problem: str | None = None

    @property
    def rules(self) -> RuleSet:
        """The rules in force."""
        return self._rules

    def reload(self) -> bool:
        """Read the files again where they changed; return whether other rules are in force now."""
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            rules, self.problem = load_rules(self._files, self._known), None
        except ConfigError as error:
            self.problem = str(error)
            LOG.error("changed rules are refused, the old ones stay: %s", error)  # noqa: TRY400 - one line, no traceback
            return False
        changed, self._rules = rules != self._rules, rules
        return changed

    def _look(self) -> Stamp:
        found = [(file, Path(file)) for file in self._files]
        return tuple(
            (name, path.stat().st_mtime_ns, path.stat().st_size) for name, path in found if path.exists()
        )


Loop = Callable[[threading.Event], None]
"""Runs until the event is set."""
Receivers = Mapping[str, ReceiverConfig | Mapping[str, Any]]
Services = Mapping[str, TrainingConfig | Mapping[str, Any]]


@dataclass(frozen=True)
class More:
    """What alerting is told beside receivers and training services."""

    follow: FollowOptions | None = None
    watchdog: WatchdogConfig = field(default_factory=WatchdogConfig)
    steward: Steward | None = None


class AlertService:
    """Everything that alerting needs from a configuration. Constructing it checks all of it; it connects to nothing."""

    def __init__(
        self,
        database: Database,
        receivers: Receivers,
        training: Services,
        options: Options,
        more: More | None = None,
    ) -> None:
        """Raise ConfigError naming the receiver or service, and the key."""
        served = {
            n: Receiver(notifier(n, given), receiver_config(n, given)) for n, given in receivers.items()
        }
        trains = {n: Service(training_service(n, g), training_config(n, g)) for n, g in training.items()}
        self.dispatcher = Dispatcher(database, served, options)
        more = more or More()
        follow = more.follow or FollowOptions(clock=options.clock, rng=options.rng)
        self._check_policies(trains, follow)
        self.follower = Follower(database, trains, follow)
        self.known = Known(frozenset(served), frozenset(trains))
        for name in more.watchdog.notify or ():
            if name not in served:
                raise ConfigError(f"watchdog.notify: there is no receiver {name}")
        self._steward = more.steward
        self.watchdog = Watchdog(database, more.watchdog, tuple(served), options.clock)

    @staticmethod
    def _check_policies(services: Mapping[str, Service], follow: FollowOptions) -> None:
        for name, service in services.items():
            asks = [key for key in ("promote", "rollback") if getattr(service.config, key)]
            if asks and follow.registry is None:
                raise ConfigError(
                    f"training.{name}.{asks[0]}: needs a `registry:` to tell; none is configured"
                )

    def start(self, stop: threading.Event, more: Mapping[str, Loop] | None = None) -> list[threading.Thread]:
        """Start delivering, following and watching, and `more` by name, until `stop` is set; join the threads then."""
        runs = {
            "mlhealth-dispatcher": self.dispatcher.run,
            "mlhealth-retraining": self.follower.run,
            "mlhealth-watchdog": self.watchdog.run,
        } | ({"mlhealth-champions": self._steward.run} if self._steward is not None else {})
        runs |= more or {}
        threads = [
            threading.Thread(target=run, args=(stop,), name=name, daemon=True) for name, run in runs.items()
        ]
        for thread in threads:
            thread.start()
        return threads
