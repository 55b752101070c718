"""Baselines over HTTP: a training job hands its model's baseline in where it has no way to the store."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from mlhealth.api.act import Acting
from mlhealth.api.ingest import request_body
from mlhealth.api.received import received
from mlhealth.errors import BaselineError, DataError
from mlhealth.events.bodies import UnknownContentType

MOST_BYTES = 64 * 1024 * 1024
"""Bytes of a baseline: an ordinary one has one to ten million."""

router = APIRouter(prefix="/v1", tags=["act"])


_TYPE = "application/octet-stream"


class Pushed(BaseModel):
    """The baseline as the store knows it, and whether it speaks for its model version now."""

    hash: str
    model: str
    version: str
    active: bool


@router.post(
    "/baselines",
    status_code=201,
    summary="Hand a baseline in",
    openapi_extra=request_body(_TYPE, description="What `Baseline.push` sends."),
    responses={
        413: {"description": "The body is longer than a baseline can be."},
        415: {"description": "The content type is not read here."},
    },
)
async def push(
    request: Request, acting: Acting, activate: Annotated[bool, Query(description="Let it speak.")] = True
) -> Pushed:
    """Store a baseline, and let it speak for its model version; handing the same in again changes nothing."""
    from mlhealth.baseline.files import from_bytes

    kind = request.headers.get("content-type", _TYPE).partition(";")[0].strip().lower()
    if kind != _TYPE:
        raise UnknownContentType(f"content type {kind} is not read here; send {_TYPE}")
    blob = await received(request, MOST_BYTES)

    def store() -> Pushed:
        try:
            baseline = from_bytes(blob, "the body")
        except BaselineError as error:
            raise DataError(str(error)) from None
        active = acting.push_baseline(baseline, activate=activate)
        schema = baseline.schema
        return Pushed(hash=baseline.hash, model=schema.model, version=schema.version, active=active)

    return await run_in_threadpool(store)
