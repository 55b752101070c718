"""Routes by which programs act: acknowledge, silence, approve."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel, ConfigDict, Field

from mlhealth.api.access import Operator
from mlhealth.api.actions import Actions, When
from mlhealth.api.services import Services, services

router = APIRouter(prefix="/v1", tags=["act"])


def actions(parts: Annotated[Services, Depends(services)], caller: Operator) -> Actions:
    """Return the acts of a caller who may act."""
    return Actions(parts, caller)


Acting = Annotated[Actions, Depends(actions)]


class NewSilence(BaseModel):
    """Which alerts to hold back, for how long, and why."""

    model_config = ConfigDict(extra="forbid")

    matchers: list[str] = Field(min_length=1, examples=[['model="loan-default"', 'rule=~"Input.*"']])
    duration: str = Field(examples=["2h"])
    comment: str = Field(min_length=1)
    start: str | None = Field(default=None, description="From when, ISO 8601; left out, now.")
    hours: str | None = Field(
        default=None, examples=["sun 02:00-04:00 Europe/Berlin"], description="Only in these hours."
    )


class MadeSilence(BaseModel):
    """The id by which a silence is ended."""

    id: str


@router.post(
    "/alerts/{fingerprint}/acknowledge", status_code=204, summary="Take a firing alert into one's hands"
)
def acknowledge(fingerprint: str, acting: Acting, note: Annotated[str, Body(embed=True)] = "") -> None:
    """Note who takes the alert; reminders stop, and receivers that were told of it are told of that too."""
    acting.acknowledge(fingerprint, note)


@router.post("/silences", status_code=201, summary="Hold alerts back for a while")
def silence(wanted: NewSilence, acting: Acting) -> MadeSilence:
    """Silence the alerts whose labels meet every matcher."""
    when = When(wanted.duration, wanted.start, wanted.hours)
    return MadeSilence(id=acting.silence(wanted.matchers, when, wanted.comment))


@router.delete("/silences/{silence_id}", status_code=204, summary="End a silence now")
def expire(silence_id: str, acting: Acting) -> None:
    """End a silence; what it held back is told at once."""
    acting.expire(silence_id)


@router.post("/retraining/{request_id}/approve", status_code=204, summary="Let a retraining request go out")
def approve(request_id: str, acting: Acting) -> None:
    """Approve a request that awaits it."""
    acting.approve(request_id)


@router.post("/retraining/{request_id}/reject", status_code=204, summary="Refuse a retraining request")
def reject(request_id: str, acting: Acting, reason: Annotated[str, Body(embed=True)]) -> None:
    """Refuse a request that awaits approval, and say why."""
    acting.reject(request_id, reason)


class JobProgress(BaseModel):
    """How a training job is doing, in the training service's words."""

    model_config = ConfigDict(extra="forbid")

    status: str = Field(examples=["running", "succeeded", "failed"])
    version: str | None = Field(default=None, description="The model version the job has made.")
    detail: str | None = None
    gpu_seconds: float | None = Field(default=None, ge=0)


@router.post("/retraining/{request_id}", status_code=204, summary="Tell how a training job is doing")
def progress(request_id: str, told: JobProgress, acting: Acting) -> None:
    """Take a training service's call back; what comes after a job's end changes nothing."""
    acting.job_progress(request_id, told.model_dump())
