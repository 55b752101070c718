"""The schemas of model versions that have a baseline, kept at hand and renewed when a baseline is activated."""

from __future__ import annotations

import threading

from mlhealth.clock import SECOND, Clock
from mlhealth.schema.model_schema import ModelSchema
from mlhealth.store import baselines
from mlhealth.store.database import Database

_FRESH = SECOND
"""How long an answer stands before activations are looked at again."""


class Schemas:
    """Safe to ask from several threads."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = -_FRESH
        self._latest = -1
        self._newest: dict[tuple[str, str], str] = {}
        self._known: dict[str, ModelSchema] = {}

    def of(self, model: str, version: str) -> ModelSchema | None:
        """Return the schema of the newest baseline of a model version; raises StoreUnavailable."""
        with self._lock:
            self._look()
            name = self._newest.get((model, version))
            if name is None:
                return None
            if name not in self._known:
                with self._database.read() as connection:
                    self._known[name] = baselines.load(connection, name).schema
            return self._known[name]

    def _look(self) -> None:
        now = self._clock.now()
        if now < self._looked + _FRESH:
            return
        with self._database.read() as connection:
            latest = baselines.latest_activation(connection)
            rows = baselines.activations(connection) if latest != self._latest else []
        for row in sorted(rows, key=lambda a: (a.start, a.id)):
            self._newest[row.model, row.version] = row.baseline
        self._looked, self._latest = now, latest
