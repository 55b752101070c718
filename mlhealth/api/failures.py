"""The error tree as HTTP: which status each branch is, as JSON for programs and as a page for people."""

from __future__ import annotations

from math import ceil
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from mlhealth.api.access import Forbidden
from mlhealth.api.received import BodyTooLarge
from mlhealth.dashboards.web.render import render
from mlhealth.errors import AuthError, ConflictError, MlhealthError, NotFoundError, RecoverableError
from mlhealth.events.bodies import UnknownContentType
from mlhealth.store.inbox import InboxFull

_STATUSES: tuple[tuple[type[MlhealthError], int], ...] = (
    (UnknownContentType, 415),
    (BodyTooLarge, 413),
    (InboxFull, 429),
    (Forbidden, 403),
    (AuthError, 401),
    (NotFoundError, 404),
    (ConflictError, 409),
    (RecoverableError, 503),
    (MlhealthError, 400),
)
_RETRY_SECONDS = 5.0
_TITLES = {
    400: "That cannot be read",
    401: "Please log in",
    403: "Not allowed",
    404: "Not found",
    503: "Not available now",
}


def status_of(error: MlhealthError) -> int:
    """Return the HTTP status of an error."""
    return next(status for kind, status in _STATUSES if isinstance(error, kind))


def install(app: FastAPI) -> None:
    """Answer every error of ours, and every unknown address, in the form the caller reads."""
    app.add_exception_handler(MlhealthError, _ours)
    app.add_exception_handler(HTTPException, _starlettes)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, MlhealthError)
    status = status_of(error)
    if status == 401 and _is_page(request):
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?{urlencode({'next': target})}", 303)
    return _answer(request, status, str(error), getattr(error, "retry_after", None))


async def _starlettes(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _answer(request, error.status_code, str(error.detail))


def _is_page(request: Request) -> bool:
    return not request.url.path.startswith("/v1/") and "text/html" in request.headers.get("accept", "")


def _answer(request: Request, status: int, text: str, retry_after: float | None = None) -> Response:
    waiting = {"Retry-After": str(ceil(retry_after or _RETRY_SECONDS))}
    headers = {401: {"WWW-Authenticate": "Bearer"}, 429: waiting, 503: waiting}.get(status)
    if not _is_page(request):
        return JSONResponse({"detail": text}, status, headers)
    title = _TITLES.get(status, "That did not work")
    return HTMLResponse(render("error.html", title=title, text=text, status=status), status, headers)
