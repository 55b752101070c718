"""The page behind an approval link: GET shows the request, POST approves it. The signed link is the right to."""

from __future__ import annotations

from html import escape
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse

from mlhealth.alerts.approval import ApprovalLinks
from mlhealth.api.access import Forbidden
from mlhealth.api.services import Services, services
from mlhealth.clock import to_iso
from mlhealth.errors import AuthError, ConflictError
from mlhealth.store import retraining

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
Parts = Annotated[Services, Depends(services)]
BY = "approval link"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui;max-width:40rem;margin:3rem auto;padding:0 1rem}}
dt{{font-weight:600}}dd{{margin:0 0 .7rem}}button{{font:inherit;padding:.6rem 1.2rem}}</style></head>
<body><main><h1>{title}</h1>{body}</main></body></html>
"""


@router.get("/approve/{token}")
def show(token: str, parts: Parts) -> HTMLResponse:
    """Show what would be approved; nothing changes by looking."""
    request = _named(token, parts)
    with parts.queries.database.read() as connection:
        row = retraining.get(connection, request)
    facts = {
        "Why": row.reason,
        "Rule": row.rule,
        "Training service": row.service,
        "Data": f"{to_iso(row.data_start)} to {to_iso(row.data_end)}",
        "Request": row.id,
    }
    told = "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in facts.items())
    awaits = retraining.awaits_approval(row)
    act = (
        '<form method="post"><button>Approve</button></form>'
        if awaits
        else f"<p>It is {escape(row.status)} already.</p>"
    )
    return _page(f"Retrain {row.model} {row.version}?", f"<dl>{told}</dl>{act}")


@router.post("/approve/{token}")
def approve(token: str, parts: Parts) -> HTMLResponse:
    """Approve the request, once."""
    now = parts.clock.now()
    request = _named(token, parts)
    with parts.queries.database.begin() as connection:
        try:
            retraining.approve(connection, request, BY, now)
        except ConflictError as error:
            return _page("Nothing was changed", f"<p>{escape(str(error))}</p>", 409)
    return _page("Approved", "<p>The retraining goes out now.</p>")


def _named(token: str, parts: Services) -> str:
    """Return the request that a link names; raises Forbidden, since logging in would not mend a link."""
    try:
        return ApprovalLinks(parts.tokens.session_secret()).read(token, parts.clock.now())
    except AuthError as error:
        raise Forbidden(str(error)) from None


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    page = _PAGE.format(title=escape(title), body=body)
    return HTMLResponse(page, status, {"cache-control": "no-store", "referrer-policy": "no-referrer"})
