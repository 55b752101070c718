"""What people ask about labels: how estimates compared with them, and the rows that are kept of a window."""

from __future__ import annotations

from dataclasses import dataclass

from mlhealth.labels.track_record import Comparison, TrackRecord, track_records
from mlhealth.store.comparisons import compared
from mlhealth.store.database import Database


@dataclass(frozen=True)
class LabelRecord:
    """The record of each metric over the newest windows that have labels, and the comparisons it was made of."""

    metrics: tuple[TrackRecord, ...]
    windows: tuple[Comparison, ...]


class LabelQueries:
    """Questions about labels to one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, model: str, version: str, *, segment: str = "", windows: int = 100) -> LabelRecord:
        """Return how estimates of a model version compared with labels; empty where none came."""
        with self._database.read() as connection:
            found = compared(connection, (model, version), segment=segment, windows=windows)
        return LabelRecord(track_records(found), tuple(found))
