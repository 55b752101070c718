"""`POST /v1/cloudevents`: where a KServe logger's URL can point, unchanged.

CloudEvents 1.0 in binary mode (`ce-…` headers), structured mode or batches; each is a request or a response of an
inference, which the worker pairs by id. Whose they are is said by `inferenceservicename`, or by `?model=` in the URL;
of which version, by `?version=`, or by the configuration (see `payload`).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from mlhealth.api.access import Sender
from mlhealth.api.door import Parcel, Receipt, Repeatable
from mlhealth.api.ingest import OpenDoor, answered, repeatable, request_body
from mlhealth.api.received import received
from mlhealth.errors import DataError
from mlhealth.events.bodies import Body, UnknownContentType
from mlhealth.events.envelope import BATCH, STRUCTURED, Half, from_batch, from_headers, from_structured
from mlhealth.events.formats.base import Reading
from mlhealth.events.formats.personal_halves import protected_half
from mlhealth.schema.model_schema import ModelSchema

router = APIRouter(prefix="/v1", tags=["ingest"])
_ATTRIBUTE = "ce-"
_FORMAT = "kserve"


@dataclass(frozen=True)
class Named:
    """What the URL says of whose events these are."""

    model: Annotated[str, Query(description="Whose events these are, where they do not say.")] = ""
    version: Annotated[str, Query(description="Of which version they are.")] = ""


@router.post(
    "/cloudevents",
    status_code=202,
    summary="Send what a serving system logs, as CloudEvents",
    openapi_extra=request_body(
        STRUCTURED,
        BATCH,
        "application/json",
        description="One CloudEvent (its attributes may be headers), or many.",
    ),
    responses={
        413: {"description": "The body is longer than `max_message_bytes`."},
        415: {"description": "Neither `ce-` headers nor a content type of CloudEvents."},
        429: {"description": "Too much waits to be read; try again after `Retry-After` seconds."},
    },
)
async def cloud_events(  # noqa: PLR0917 (FastAPI's parameters)
    request: Request,
    response: Response,
    caller: Sender,
    door: OpenDoor,
    key: Annotated[Repeatable | None, Depends(repeatable)],
    named: Annotated[Named, Depends(Named)],
) -> Receipt:
    """Take requests and responses in; all of a batch or nothing."""
    content = await received(request, door.max_message_bytes)
    halves = _halves(request, content)
    parcels = []
    for half in halves:
        name = half.model or named.model
        if not name:
            raise DataError(
                "the CloudEvent names no model: it needs the extension inferenceservicename, or the URL ?model=NAME"
            )
        caller.check(name)
        body = Body(_protected(half, door.schema_of(name, named.version)), _FORMAT, 1)
        parcels.append(Parcel(name, named.version, body, lane=zlib.crc32(half.id.encode())))
    return answered(response, await run_in_threadpool(door.deliver, parcels, key))


def _protected(half: Half, schema: ModelSchema | None) -> bytes:
    """Return a half as a message, without personal data where the schema of its version says what that is."""
    packed = half.packed()
    return packed if schema is None or not schema.pii else protected_half(packed, Reading(schema))


def _halves(request: Request, content: bytes) -> list[Half]:
    """Return the events of a request, in whichever mode they came; raises DataError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == BATCH:
        return from_batch(content)
    attributes = {
        name[len(_ATTRIBUTE) :]: value
        for name, value in request.headers.items()
        if name.startswith(_ATTRIBUTE)
    }
    if attributes and kind != STRUCTURED:
        return [from_headers({**attributes, "datacontenttype": kind or "application/json"}, content)]
    if kind not in {"", "application/json", STRUCTURED}:
        raise UnknownContentType(
            f"content type {kind} is not read here without ce- headers; send {STRUCTURED} or {BATCH}"
        )
    return [from_structured(content)]
