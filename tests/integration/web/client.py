"""What a program or a browser does: show a token, log in, send a form."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx

VERSION = "/v1/models/loan-default/versions/3"
HTML = {"Accept": "text/html"}
Reach = Callable[..., httpx.Client]


def bearer(text: str) -> dict[str, str]:
    """Return the header that shows a token."""
    return {"Authorization": f"Bearer {text}"}


def login(client: httpx.Client, token: str, following: str = "/") -> str:
    """Log in by the form; returns where it led."""
    page = client.get("/login", params={"next": following}, headers=HTML).text
    csrf = re.search(r'name="csrf" value="(\w+)"', page)
    assert csrf is not None
    form = {"token": token, "csrf": csrf[1], "next": following}
    answer = client.post("/login", data=form, follow_redirects=False)
    assert answer.status_code == 303
    return answer.headers["location"]


def form(client: httpx.Client, page: str, **fields: str) -> dict[str, str]:
    """Return a form's fields with the CSRF token of the page it stands on."""
    csrf = re.search(r'name="csrf" value="(\w+)"', client.get(page, headers=HTML).text)
    assert csrf is not None
    return {"csrf": csrf[1], **fields}
