"""Labels over HTTP: what was true, sent when it is known; and how the estimates have compared with it since."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from mlhealth.api.access import Reader
from mlhealth.api.door import Parcel, Receipt, Repeatable
from mlhealth.api.ingest import answered, repeatable, request_body
from mlhealth.api.label_door import LabelDoor
from mlhealth.api.query import VERSION, Named, Parts
from mlhealth.api.received import received
from mlhealth.api.services import Services, services
from mlhealth.errors import NotFoundError
from mlhealth.events.bodies import CONTENT_TYPES
from mlhealth.events.label_bodies import check_content_type, read_label_body
from mlhealth.queries.labels import LabelRecord

router = APIRouter(prefix="/v1")
Whole = Annotated[Services, Depends(services)]
Known = Annotated[Repeatable | None, Depends(repeatable)]


@router.post(
    VERSION + "/labels",
    tags=["ingest"],
    status_code=202,
    summary="Send labels of events, by the events' ids",
    openapi_extra=request_body(*CONTENT_TYPES, description="One label or many."),
    responses={
        413: {"description": "The body is longer than `max_message_bytes`."},
        415: {"description": "The content type is not read here."},
        429: {"description": "Too much waits to be read; try again after `Retry-After` seconds."},
    },
)
async def send_labels(
    request: Request, response: Response, named: Named, parts: Whole, known: Known
) -> Receipt:
    """Take labels in, durably and once; a label is `{"event_id": …, "label": …}`, or the schema's own column names."""
    door = parts.door or LabelDoor(parts.queries.database, parts.clock)
    content = await received(request, door.max_message_bytes)
    content_type = request.headers.get("content-type", "application/json")

    def deliver() -> tuple[Receipt, bool]:
        schema = door.schema_of(named.model, named.version)
        if schema is None:
            raise NotFoundError(
                f"no baseline speaks for model {named.model} version {named.version}; push one before its labels"
            )
        if isinstance(door, LabelDoor):
            check_content_type(content_type)
            return door.take(named.model, named.version, content, schema), False
        body = read_label_body(content, content_type, schema)
        return door.deliver([Parcel(named.model, named.version, body)], known)

    return answered(response, await run_in_threadpool(deliver))


@router.get(
    VERSION + "/labels",
    tags=["query"],
    summary="How estimates compared with labels: error, bias, coverage, window by window",
)
def label_record(
    named: Named,
    parts: Parts,
    _caller: Reader,
    segment: Annotated[str, Query(description="`column=value`; empty for the overall window.")] = "",
    windows: Annotated[int, Query(ge=1, le=10_000, description="The newest labelled windows.")] = 100,
) -> LabelRecord:
    """Return the track record of a model version's estimates, with advice where it is bad."""
    return parts.queries.labels.record(named.model, named.version, segment=segment, windows=windows)
