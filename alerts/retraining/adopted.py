"""Whether the baseline that a training job registered fits the model it is for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from mlhealth.alerts.retraining.base import Progress
from mlhealth.records import RetrainingStatus
from mlhealth.schema.model_schema import ModelSchema
from mlhealth.store import baselines
from mlhealth.store.tables import baselines as table


def baseline_problem(connection: Connection, row: Row[Any], progress: Progress) -> str | None:
    """Return in one line what is wrong with the new version's baseline; None where it fits, or is not there yet."""
    if progress.status is not RetrainingStatus.SUCCEEDED or progress.new_version is None:
        return None
    old, new = (
        _schema(connection, row.model, row.version),
        _schema(connection, row.model, progress.new_version),
    )
    if old is None or new is None:
        return None
    return difference(old, new)


def difference(old: ModelSchema, new: ModelSchema) -> str | None:
    """Return what differs between two versions' schemas that cannot be compared; features may come and go."""
    parts = {
        "task": (old.task.value, new.task.value),
        "classes": (", ".join(old.classes), ", ".join(new.classes)),
    }
    for name, (was, now) in parts.items():
        if was != now:
            return (
                f"the baseline of version {new.version} is of another schema: {name} {now}, was {was}; "
                "it was kept, but the versions cannot be compared"
            )
    return None


def _schema(connection: Connection, model: str, version: str) -> ModelSchema | None:
    query = (
        select(table.c.hash)
        .where(table.c.model == model, table.c.version == version)
        .order_by(table.c.created.desc())
        .limit(1)
    )
    name = connection.execute(query).scalar()
    return None if name is None else baselines.load(connection, name).schema
