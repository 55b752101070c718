"""Keeps in the audit trail what rules and thresholds are in force, from the first start on and whenever they change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from mlhealth.alerts.rules import RuleSet, rule_data
from mlhealth.clock import Clock
from mlhealth.config.models import ModelConfig
from mlhealth.errors import RecoverableError
from mlhealth.store.changes import Said, note
from mlhealth.store.database import Database

LOG = logging.getLogger("mlhealth.alerts")
POLL = 2.0
_NOT_A_THRESHOLD = {"scorer", "payload", "topics"}
"""Keys of a model that judge nothing; a scorer's address may hold a password."""


class Changes:
    """Looks at the rules in force every few seconds; `run` in a thread of its own."""

    def __init__(
        self,
        database: Database,
        rules: Callable[[], RuleSet],
        models: Mapping[str, ModelConfig],
        clock: Clock,
    ) -> None:
        self._database = database
        self._rules = rules
        self._models = models
        self._clock = clock
        self._noted: RuleSet | None = None

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop; a database that is away is waited for."""
        while not stop.is_set():
            try:
                self.turn()
            except RecoverableError as error:
                LOG.warning("the audit trail cannot be written: %s", error)
            stop.wait(POLL)

    def turn(self) -> None:
        """Look once; without a change nothing is read or written."""
        rules = self._rules()
        if rules is self._noted:
            return
        parts = {rule.alert: rule_data(rule) for rule in rules.rules}
        said = [Said("rules.change", "rules", parts, rules.sources)]
        said += [
            Said("thresholds.change", model, _thresholds(config)) for model, config in self._models.items()
        ]
        with self._database.begin() as connection:
            for one in said:
                note(connection, one, self._clock.now())
        self._noted = rules


def _thresholds(config: ModelConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude=_NOT_A_THRESHOLD)
