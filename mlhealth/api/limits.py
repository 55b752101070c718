"""How often, and how much at once, a caller may ask: token buckets and body limits, before any route is reached."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlhealth.config.listen import RateConfig

_CALLERS = 10_000
"""How many callers are told apart; beyond them, the one who asked longest ago is forgotten."""
_UNLIMITED = ("/healthz", "/readyz")


class Buckets:
    """Token buckets by caller: each holds up to `burst`, and is filled at `rate` per second."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, float(burst)
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, now: float, cost: float = 1.0) -> float:
        """Take `cost` out; return 0, or after how many seconds there is as much, when nothing was taken."""
        level, at = self._levels.pop(caller, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        short = max(0.0, min(cost, self._burst) - level)
        self._levels[caller] = (level if short else level - cost, now)
        if len(self._levels) > _CALLERS:
            self._levels.popitem(last=False)
        return short / self._rate

    def wait(self, caller: str, now: float) -> float:
        """Return after how many seconds a caller whose bucket is empty may go on; 0 where it is not."""
        level, at = self._levels.get(caller, (self._burst, now))
        return max(0.0, 1.0 - min(self._burst, level + (now - at) * self._rate)) / self._rate


class Limits:
    """ASGI middleware: 429 for those who ask too often or fail to log in too often, 413 for bodies that are too long.

    Bodies of events have limits of their own, which their routes know: `is_long` says which paths they are.
    """

    def __init__(
        self,
        app: ASGIApp,
        rate: RateConfig,
        max_body_bytes: int,
        is_long: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self._requests = Buckets(rate.per_second, rate.burst)
        self._failures = Buckets(rate.failures_per_minute / 60, rate.failures_per_minute)
        self._max_body = max_body_bytes
        self._is_long = is_long
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or scope["path"] in _UNLIMITED:
            await self.app(scope, receive, send)
            return
        now, address = self._clock(), (scope.get("client") or ("",))[0]
        wait = self._failures.wait(address, now) or self._requests.take(_caller(scope, address), now)
        if wait:
            await _refused(429, "too many requests; come again later", wait)(scope, receive, send)
            return
        if not self._is_long(scope["path"]) and _length(scope) > self._max_body:
            text = f"the body has more than {self._max_body} bytes (listen.max_body_bytes)"
            await _refused(413, text)(scope, receive, send)
            return
        await self.app(scope, self._counted(scope, receive), self._watched(address, send))

    def _counted(self, scope: Scope, receive: Receive) -> Receive:
        """Return `receive`, ending a body of unannounced length where it grows too long."""
        if self._is_long(scope["path"]):
            return receive
        got = 0

        async def limited() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            return {"type": "http.disconnect"} if got > self._max_body else message

        return limited

    def _watched(self, address: str, send: Send) -> Send:
        async def watching(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self._failures.take(address, self._clock())
            await send(message)

        return watching


def _caller(scope: Scope, address: str) -> str:
    """Return who asks: by the digest of what they show for it, else by address."""
    shown = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    return hashlib.sha256(shown).hexdigest() if shown else address


def _length(scope: Scope) -> int:
    text = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(text) if text.isdigit() else 0


def _refused(status: int, text: str, wait: float = 0.0) -> JSONResponse:
    headers = {"Retry-After": str(ceil(wait))} if wait else None
    return JSONResponse({"detail": text}, status, headers)
