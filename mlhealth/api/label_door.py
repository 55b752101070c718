"""Labels over HTTP where the service reads no inbox: written to the store at once, which is as durable."""

from __future__ import annotations

from mlhealth.api.door import REASONS, Receipt, RowReason
from mlhealth.clock import Clock
from mlhealth.events.label_bodies import checked
from mlhealth.schema.model_schema import ModelSchema
from mlhealth.store.database import Database
from mlhealth.store.labels import Label, write
from mlhealth.store.schemas import Schemas


class LabelDoor:
    """Writes labels; sent again they change nothing, so that no request needs a key to be repeatable."""

    max_message_bytes = 32 * 1024 * 1024

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._schemas = Schemas(database, clock)

    def schema_of(self, model: str, version: str) -> ModelSchema | None:
        """Return the schema of a model version's newest baseline, None where it has none yet."""
        return self._schemas.of(model, version)

    def take(self, model: str, version: str, content: bytes, schema: ModelSchema) -> Receipt:
        """Write the labels of a body and say which rows could not be used; raises DataError, StoreUnavailable."""
        now = self._clock.now()
        found = checked(content, schema, now)
        given = zip(found.keys.tolist(), found.values, found.at.tolist(), strict=True)
        with self._database.begin() as connection:
            write(connection, [Label(model, version, key, value, at) for key, value, at in given], now)
        reasons = tuple(RowReason(r.row, r.reason) for r in found.rejections[:REASONS])
        return Receipt(found.rows, len(found.rejections), reasons)
