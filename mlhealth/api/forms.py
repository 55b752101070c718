"""The forms of the pages: each carries its session's CSRF token, does one act, and returns to its page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from fastapi.responses import RedirectResponse, Response

from mlhealth.api.access import Operator, Sessions, sessions
from mlhealth.api.actions import Actions, When
from mlhealth.api.services import Services, services
from mlhealth.dashboards.web.render import versions_url
from mlhealth.feedback import Verdict

router = APIRouter(include_in_schema=False)


def sent(
    parts: Annotated[Services, Depends(services)],
    cookies: Annotated[Sessions, Depends(sessions)],
    caller: Operator,
    csrf: Annotated[str, Form()],
) -> Actions:
    """Return the acts of a caller whose form came from one of our pages."""
    cookies.check_csrf(caller.session, csrf)
    return Actions(parts, caller)


Sent = Annotated[Actions, Depends(sent)]


@router.post("/alerts/{fingerprint}/acknowledge")
def acknowledge(fingerprint: str, acting: Sent, note: Annotated[str, Form()] = "") -> Response:
    """Take a firing alert into one's hands."""
    acting.acknowledge(fingerprint, note)
    return RedirectResponse("/alerts", 303)


@router.post("/alerts/{fingerprint}/useless")
def useless(
    fingerprint: str,
    acting: Sent,
    note: Annotated[str, Form()],
    verdict: Annotated[Verdict, Form()] = Verdict.NOT_HARM,
) -> Response:
    """Note that an alert should not have paged, and why."""
    acting.call_useless(fingerprint, note, verdict)
    return RedirectResponse("/alerts", 303)


@router.post("/silences")
def silence(
    acting: Sent,
    *,
    matchers: Annotated[str, Form()],
    duration: Annotated[str, Form()],
    comment: Annotated[str, Form()],
    start: Annotated[str, Form()] = "",
    hours: Annotated[str, Form()] = "",
) -> Response:
    """Hold back the alerts that meet every line of `matchers`."""
    lines = [line for line in map(str.strip, matchers.splitlines()) if line]
    acting.silence(lines, When(duration, start.strip() or None, hours.strip() or None), comment)
    return RedirectResponse("/alerts", 303)


@router.post("/silences/{silence_id}/expire")
def expire(silence_id: str, acting: Sent) -> Response:
    """End a silence now."""
    acting.expire(silence_id)
    return RedirectResponse("/alerts", 303)


@router.post("/retraining/{request_id}/approve")
def approve(request_id: str, acting: Sent) -> Response:
    """Let a retraining request go out."""
    acting.approve(request_id)
    return RedirectResponse("/retraining", 303)


@router.post("/retraining/{request_id}/reject")
def reject(request_id: str, acting: Sent, reason: Annotated[str, Form()]) -> Response:
    """Refuse a retraining request."""
    acting.reject(request_id, reason)
    return RedirectResponse("/retraining", 303)


@router.post("/models/{model}/versions/{version}/promote")
def promote(model: str, version: str, acting: Sent, note: Annotated[str, Form()]) -> Response:
    """Make a version the champion."""
    acting.promote(model, version, note)
    return RedirectResponse(versions_url(model), 303)


@router.post("/models/{model}/versions/rollback")
def roll_back(model: str, acting: Sent, note: Annotated[str, Form()]) -> Response:
    """Make the champion before the present one the champion again."""
    acting.roll_back(model, note)
    return RedirectResponse(versions_url(model), 303)
