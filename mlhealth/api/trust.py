"""Routes of trust: what pages were worth, baselines side by side, and a person's decision on a refreshed one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict

from mlhealth.api.access import Reader
from mlhealth.api.act import Acting
from mlhealth.api.query import Parts
from mlhealth.feedback import Precision, Suggestion, Verdict
from mlhealth.store import baselines, feedback, proposals
from mlhealth.store.proposals import Proposal
from mlhealth.versions.baselines import compare_baselines

router = APIRouter(prefix="/v1", tags=["trust"])


class Feedback(BaseModel):
    """What a person says of the last page of an alert."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    note: str = ""


class Trust(BaseModel):
    """How many past pages of a model were worth it, and what would have spared the others; nothing is changed."""

    precision: Precision
    share: float | None
    suggestions: list[Suggestion]


@router.post("/alerts/{fingerprint}/feedback", status_code=204, summary="Say what a page was worth")
def give_feedback(fingerprint: str, said: Feedback, acting: Acting) -> None:
    """Record feedback on the last firing of an alert; it is counted into the precision of past pages."""
    acting.judge_page(fingerprint, said.verdict, said.note)


@router.get("/models/{model}/trust", summary="What past pages of a model were worth")
def trust(model: str, parts: Parts, caller: Reader) -> Trust:
    """Return the precision of past pages and the suggestions that follow."""
    caller.check(model)
    with parts.queries.database.read() as connection:
        found, suggested = feedback.trust(connection, model)
    return Trust(precision=found, share=found.share, suggestions=list(suggested))


@router.get("/baselines/proposals", summary="Baselines that were proposed, and what was decided")
def list_proposals(parts: Parts, caller: Reader, state: str | None = None) -> list[Proposal]:
    """Return proposals with their comparisons, the newest first."""
    with parts.queries.database.read() as connection:
        return [p for p in proposals.proposals(connection, state) if caller.may(p.model)]


@router.get("/baselines/compare", summary="Two baselines of a model version side by side")
def compare(before: str, after: str, parts: Parts, caller: Reader) -> dict[str, Any]:
    """Return what the second baseline would change."""
    with parts.queries.database.read() as connection:
        for name in (before, after):
            caller.check(baselines.find(connection, name).model)
        pair = [baselines.load(connection, baselines.find(connection, name).hash) for name in (before, after)]
    return compare_baselines(*pair).to_data()


@router.post("/baselines/{name}/approve", status_code=204, summary="Let a proposed baseline speak")
def approve(name: str, acting: Acting, window: Annotated[int, Body(embed=True, ge=1)] = 1) -> None:
    """Let a proposed baseline speak from the next window on; `window` in microseconds."""
    acting.approve_baseline(name, window)


@router.post("/baselines/{name}/reject", status_code=204, summary="Refuse a proposed baseline")
def reject(name: str, acting: Acting, reason: Annotated[str, Body(embed=True)]) -> None:
    """Refuse a proposed baseline, and say why."""
    acting.reject_baseline(name, reason)
