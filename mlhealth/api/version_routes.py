"""Routes about a model's versions: compare, promote, roll back, mark; and the timeline for a post-mortem."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from mlhealth.api.access import Operator, Reader, own_services
from mlhealth.api.query import VERSION, Named, moment, period
from mlhealth.api.services import Services
from mlhealth.errors import ConfigError
from mlhealth.queries.reports import Period
from mlhealth.queries.timeline import Span, as_data, timeline
from mlhealth.queries.versions import FOREVER, VersionLine, Versus, compare, versions
from mlhealth.store import markers
from mlhealth.versions.comparison import Comparison
from mlhealth.versions.promotion import Hand, Promotion

router = APIRouter(prefix="/v1", tags=["versions"])
Parts = Annotated[Services, Depends(own_services)]
Note = Annotated[
    str, Body(embed=True, min_length=1, max_length=500, description="Why; it goes to the history.")
]
_MODEL = "/models/{model}"


class NewMarker(BaseModel):
    """What happened to a version, and when."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(examples=["deploy", "note"], pattern="^(deploy|note)$")
    note: str = Field(min_length=1, max_length=500)
    at: str | None = Field(default=None, description="The moment it speaks of; left out, now.")


class Done(BaseModel):
    """What was done, in words."""

    text: str


@router.get(_MODEL + "/versions", summary="A model's versions: their state, and which is the champion")
def listed(model: str, parts: Parts, _caller: Reader) -> list[VersionLine]:
    """Return the versions of a model, the oldest first."""
    return versions(parts.queries.database, model)


@router.get(_MODEL + "/comparison", summary="Two versions on the same windows", response_model=Comparison)
def comparison(
    model: str,
    parts: Parts,
    _caller: Reader,
    chosen: Annotated[Period, Depends(period)],
    champion: Annotated[str, Query()],
    challenger: Annotated[str, Query()],
) -> Comparison:
    """Return estimates with their differences, the distance of predictions, and disagreement where ids match."""
    start, end = chosen.start or 0, FOREVER if chosen.end is None else chosen.end
    return compare(parts.queries.database, Versus(model, champion, challenger, start, end))


@router.post(VERSION + "/promote", summary="Make a version the champion")
def promote(named: Named, parts: Parts, caller: Operator, note: Note) -> Done:
    """Promote a version, at the model registry too where one is configured."""
    return Done(text=_promotion(parts).promote(named.model, named.version, Hand(caller.name, note)))


@router.post(_MODEL + "/rollback", summary="Make the champion before the present one the champion again")
def rollback(model: str, parts: Parts, caller: Operator, note: Note) -> Done:
    """Roll back, at the model registry too where one is configured."""
    return Done(text=_promotion(parts).roll_back(model, Hand(caller.name, note)))


@router.get(_MODEL + "/markers", summary="Deployments, promotions, rollbacks and notes of a period")
def marks(
    model: str, parts: Parts, _caller: Reader, chosen: Annotated[Period, Depends(period)]
) -> list[markers.Marker]:
    """Return the markers of a model, oldest first."""
    start, end = chosen.start or 0, FOREVER if chosen.end is None else chosen.end
    with parts.queries.database.read() as connection:
        return markers.between(connection, model, start, end)


@router.post(VERSION + "/markers", status_code=201, summary="Leave a marker on a model's history")
def mark(named: Named, parts: Parts, caller: Operator, wanted: NewMarker) -> markers.Marker:
    """Note a deployment or a remark, under the caller's name."""
    now = parts.clock.now()
    at = now if wanted.at is None else moment(wanted.at)
    made = markers.Marker(named.model, named.version, wanted.kind, at, wanted.note, caller.name)
    with parts.queries.database.begin() as connection:
        markers.mark(connection, made, now)
    return made


@router.get(_MODEL + "/timeline", summary="All that happened to a model in a period")
def exported(
    model: str, parts: Parts, _caller: Reader, chosen: Annotated[Period, Depends(period)]
) -> dict[str, Any]:
    """Return windows, alerts, deliveries, retraining, markers, rejected events and acts, in order."""
    if chosen.start is None or chosen.end is None:
        raise ConfigError("a timeline needs `from` and `to`")
    span = Span(model, chosen.start, chosen.end)
    return as_data(span, timeline(parts.queries.database, span))


def _promotion(parts: Services) -> Promotion:
    return Promotion(parts.queries.database, parts.models, parts.clock)
