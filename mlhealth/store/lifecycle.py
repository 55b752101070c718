"""A model version's life: expected (no events yet), live, retired (its silence is no news)."""

from __future__ import annotations

from sqlalchemy import Connection, update

from mlhealth.errors import NotFoundError
from mlhealth.store.tables import model_versions

STATES = ("expected", "live", "retired")


def set_state(connection: Connection, model: str, version: str, state: str) -> None:
    """Move a model version to `state`; raises NotFoundError where the store does not know it."""
    if state not in STATES:
        raise ValueError(f"state {state!r} is none of {', '.join(STATES)}")
    named = (model_versions.c.model == model) & (model_versions.c.version == version)
    changed = connection.execute(update(model_versions).where(named).values(state=state))
    if changed.rowcount == 0:
        raise NotFoundError(f"the store knows no version {version!r} of model {model!r}")
