"""Deleting single events by id, over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from mlhealth.api.access import Admin
from mlhealth.api.services import Services, services
from mlhealth.store.forgetting import Forgotten, forget

router = APIRouter(prefix="/v1", tags=["operate"])
Whole = Annotated[Services, Depends(services)]
EventId = Annotated[str, Field(min_length=1, max_length=1_000)]


class Events(BaseModel):
    """Which events."""

    model_config = ConfigDict(extra="forbid")

    ids: list[EventId] = Field(min_length=1, max_length=10_000, examples=[["app-17"]])


@router.post("/models/{model}/forget", summary="Delete what the store holds of single events")
def forget_events(model: str, events: Events, parts: Whole, caller: Admin) -> Forgotten:
    """Delete kept rows, labels, waiting requests and dead letters of events of any version; counts and reports stay."""
    with parts.queries.database.begin() as connection:
        return forget(connection, model, events.ids, (caller.name, parts.clock.now()))
