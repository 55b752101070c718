"""Files a page loads: our style and scripts, and Plotly from the installed package; never the internet."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_OURS = ("style.css", "charts.js", "page.js", "icon.svg")
PLOTLY = "plotly.min.js"


@dataclass(frozen=True)
class Asset:
    """One file, as sent: plain and compressed."""

    body: bytes
    packed: bytes
    media_type: str
    tag: str


@lru_cache(maxsize=16)
def asset(name: str) -> Asset | None:
    """Return a file by name; None where there is no such file."""
    if name == PLOTLY:
        body = files("plotly").joinpath("package_data", PLOTLY).read_bytes()
    elif name in _OURS:
        body = files("mlhealth.dashboards.web").joinpath("static", name).read_bytes()
    else:
        return None
    tag = hashlib.sha256(body).hexdigest()[:16]
    media_type = f"{_TYPES[name.rsplit('.', maxsplit=1)[-1]]}; charset=utf-8"
    return Asset(body, gzip.compress(body, 6, mtime=0), media_type, tag)


@lru_cache(maxsize=16)
def url(name: str) -> str:
    """Return the address of a file, which changes with its contents, so that browsers may keep it for ever."""
    if name == PLOTLY:
        return f"/static/{name}?v={version('plotly')}"
    found = asset(name)
    assert found is not None, name
    return f"/static/{name}?v={found.tag}"


def assets() -> ASGIApp:
    """Return the application that serves the files."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        name = scope["path"].removeprefix(scope.get("root_path", "")).strip("/")
        await _response(request, name)(scope, receive, send)

    return serve


def _response(request: Request, name: str) -> Response:
    found = asset(name) if request.method in {"GET", "HEAD"} else None
    if found is None:
        return PlainTextResponse("not found", 404)
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "ETag": f'"{found.tag}"',
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(
            found.packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=found.media_type
        )
    return Response(found.body, headers=headers, media_type=found.media_type)
