"""`POST /v1/models/{model}/versions/{version}/events`: events over HTTP, durable in the inbox before the 202.

A body is a JSON object or array, NDJSON, or an Arrow IPC stream, by its content type; gzip is undone. Rows that cannot
be used are named in the answer and stop no other row. With an `Idempotency-Key`, a request that is sent again (within a
day) is answered as the first time and written once. 413: the body is too long; 429: too much waits to be read, come
again after `Retry-After` seconds; 503: the store is away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.concurrency import run_in_threadpool

from mlhealth.api.access import Sender
from mlhealth.api.door import Door, Parcel, Receipt, Repeatable
from mlhealth.api.query import VERSION, Named
from mlhealth.api.received import received
from mlhealth.api.services import Services, services
from mlhealth.clock import from_iso
from mlhealth.errors import NotFoundError
from mlhealth.events.bodies import CONTENT_TYPES, read_body

router = APIRouter(prefix="/v1", tags=["ingest"])
WATERMARK = "Mlhealth-Watermark"


def the_door(parts: Annotated[Services, Depends(services)]) -> Door:
    """Return where events come in; raises NotFoundError where no source of this service is an inbox."""
    if parts.door is None:
        raise NotFoundError("this service reads no inbox; add `- inbox: {}` to its sources")
    return parts.door


OpenDoor = Annotated[Door, Depends(the_door)]


def repeatable(
    request: Request,
    caller: Sender,
    key: Annotated[
        str | None,
        Header(alias="Idempotency-Key", max_length=255, description="Any text; the same for each try."),
    ] = None,
) -> Repeatable | None:
    """Return how a request is known again."""
    return None if key is None else Repeatable(key, f"{caller.name} {request.url.path}")


@dataclass(frozen=True)
class Terms:
    """What a request says of itself: how it is known again, and up to when it promises to be complete."""

    repeatable: Repeatable | None
    watermark: int | None


def terms(
    known: Annotated[Repeatable | None, Depends(repeatable)],
    watermark: Annotated[
        str | None,
        Header(alias=WATERMARK, description="A promise: no event before this time (ISO 8601) follows."),
    ] = None,
) -> Terms:
    """Return the terms of a request."""
    return Terms(known, None if watermark is None else from_iso(watermark))


TermsOf = Annotated[Terms, Depends(terms)]


def request_body(*kinds: str, description: str) -> dict[str, Any]:
    """Return what OpenAPI says of a body that is read as it comes."""
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    return {"requestBody": {"required": True, "description": description, "content": content}}


def answered(response: Response, found: tuple[Receipt, bool]) -> Receipt:
    """Return the receipt, saying in a header whether it is that of an earlier request."""
    receipt, is_repeated = found
    if is_repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return receipt


@router.post(
    VERSION + "/events",
    status_code=202,
    summary="Send events of a model version",
    openapi_extra=request_body(*CONTENT_TYPES, description="One event or many."),
    responses={
        413: {"description": "The body is longer than `max_message_bytes`."},
        415: {"description": "The content type is not read here."},
        429: {"description": "Too much waits to be read; try again after `Retry-After` seconds."},
    },
)
async def events(
    request: Request, response: Response, named: Named, door: OpenDoor, terms: TermsOf
) -> Receipt:
    """Take events in; the answer counts the rows, and names those that cannot be used with their reason."""
    content = await received(request, door.max_message_bytes)
    content_type = request.headers.get("content-type", "application/json")

    def deliver() -> tuple[Receipt, bool]:
        body = None
        if content or terms.watermark is None:
            body = read_body(content, content_type, door.schema_of(named.model, named.version))
        return door.deliver([Parcel(named.model, named.version, body, terms.watermark)], terms.repeatable)

    return answered(response, await run_in_threadpool(deliver))
