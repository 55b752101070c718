"""Live pages: a stream of server-sent events, one for each change in the store that a page could show.

An event says only that there is news; the page then asks for itself again, with its reader's own rights.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from mlhealth.api.access import Reader
from mlhealth.errors import StoreUnavailable
from mlhealth.queries.reports import Queries

router = APIRouter(include_in_schema=False)
EVERY = 1.0
"""Seconds between looks at the store, one look for all streams together."""
LIFE = 60.0
"""Seconds after which a stream ends and the browser asks again, and so shows anew who it is."""
MOST = 200
"""Streams at once; a page beyond them is told not to ask again and can be renewed by `?refresh=`."""


@dataclass
class Pulse:
    """What was last seen in the store, shared by all streams of a process."""

    queries: Queries
    mark: str = ""
    streams: int = 0
    _looked: float = -EVERY
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> str:
        """Return the mark of the newest change; a store that is away has no news."""
        async with self._looking:
            if time.monotonic() - self._looked >= EVERY:
                with contextlib.suppress(StoreUnavailable):
                    self.mark = await run_in_threadpool(self.queries.stream.news)
                self._looked = time.monotonic()
        return self.mark

    async def events(self, request: Request) -> AsyncIterator[str]:
        """Yield an event for each change, and a comment at each look, so that a broken line is noticed."""
        self.streams += 1
        try:
            known, end = await self.look(), time.monotonic() + LIFE
            yield f"retry: 2000\nid: {known}\nevent: hello\ndata: {known}\n\n"
            while time.monotonic() < end and not await request.is_disconnected():
                await asyncio.sleep(EVERY)
                seen = await self.look()
                yield ": \n\n" if seen == known else f"id: {seen}\nevent: news\ndata: {seen}\n\n"
                known = seen
        finally:
            self.streams -= 1


def pulse(request: Request) -> Pulse:
    """Return the application's pulse (a FastAPI dependency)."""
    return cast("Pulse", request.app.state.pulse)


@router.get("/live")
async def live(
    request: Request,
    _caller: Reader,
    beat: Annotated[Pulse, Depends(pulse)],
) -> Response:
    """Tell a page when there is something new to show."""
    if beat.streams >= MOST:
        return Response(status_code=204)
    return StreamingResponse(beat.events(request), media_type="text/event-stream")
