"""HTTP calls to receivers and training services, with the answers sorted into: taken, try again, hopeless.

A call has one deadline for everything, so that a peer that sends a byte a second holds nobody. Redirects are not
followed (a page must not go where nobody configured it to go); answers are read up to a limit.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
from pydantic import SecretStr

from mlhealth import outbound
from mlhealth.clock import HOUR, SECOND
from mlhealth.config.receivers import HttpSettings
from mlhealth.errors import ConfigError, DeliveryError, PermanentError

LONGEST_ANSWER = 256 * 1024
LONGEST_WAIT = HOUR / SECOND
_RETRYABLE = frozenset({408, 421, 423, 425, 429, 500, 502, 503, 504, 507})


@dataclass(frozen=True)
class Call:
    """One request. `timeout` in seconds, for the whole of it."""

    url: str
    method: str = "POST"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 10.0
    ca_file: str | None = None

    def adding(self, headers: Mapping[str, str]) -> Call:
        """Return the call with more headers."""
        return replace(self, headers={**self.headers, **headers})

    def bearing(self, token: SecretStr | None) -> Call:
        """Return the call with a bearer token, where there is one."""
        return self if token is None else self.adding({"authorization": f"Bearer {token.get_secret_value()}"})


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's JSON; raises DeliveryError where it is none (a proxy's page of HTML, say)."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            kind = self.headers.get("content-type", "no content type")
            raise DeliveryError(f"answered {self.status} with {kind}, which is not JSON") from None


def json_call(url: str, data: Any, settings: HttpSettings, *, method: str = "POST") -> Call:
    """Return the call that sends `data` as JSON under the peer's settings."""
    headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
    return Call(
        str(url),
        method,
        b"" if data is None else orjson.dumps(data),
        {"content-type": "application/json", "user-agent": "mlhealth"} | headers,
        settings.timeout / SECOND,
        settings.ca_file,
    )


def perform(call: Call) -> Answer:
    """Make the call and return its answer whatever the status; raises DeliveryError where none came in time."""
    host = urlsplit(call.url).netloc.rpartition("@")[2]
    try:
        return asyncio.run(_perform(call))
    except TimeoutError:
        raise DeliveryError(f"{host}: no full answer within {call.timeout:g} s") from None
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        raise DeliveryError(f"{host}: {reason}") from None
    except httpx.InvalidURL as error:
        raise PermanentError(f"{host}: not an address: {error}") from None


def deliver(call: Call) -> Answer:
    """Make the call; raises DeliveryError or PermanentError where the peer did not take it."""
    answer = perform(call)
    if not 200 <= answer.status < 300:
        raise refusal(call, answer)
    return answer


def refusal(call: Call, answer: Answer) -> DeliveryError | PermanentError:
    """Return the error that an answer outside 2xx means."""
    host = urlsplit(call.url).netloc.rpartition("@")[2]
    if 300 <= answer.status < 400:
        to = urlsplit(answer.headers.get("location", "")).netloc or "elsewhere"
        return PermanentError(
            f"{host}: redirects to {to}, which is not followed; configure the final address"
        )
    if answer.status in _RETRYABLE or answer.status > 507:
        return DeliveryError(f"{host}: answered {answer.status}", retry_after=retry_after(answer.headers))
    return PermanentError(f"{host}: refused with {answer.status}{_excerpt(answer)}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a peer asks to wait, from its Retry-After (seconds or a date), at most an hour."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        wait = float(value)
    except ValueError:
        try:
            wait = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(wait, 0.0), LONGEST_WAIT) if math.isfinite(wait) else None


async def _perform(call: Call) -> Answer:
    async with asyncio.timeout(call.timeout):
        verify = _tls(call.ca_file) if call.url.startswith("https") else False
        async with (
            httpx.AsyncClient(
                transport=outbound.GuardedAsyncTransport(verify=verify),
                timeout=call.timeout,
                follow_redirects=False,
                trust_env=False,
            ) as client,
            client.stream(call.method, call.url, content=call.body, headers=dict(call.headers)) as response,
        ):
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    break
            return Answer(response.status_code, dict(response.headers), bytes(body[:LONGEST_ANSWER]))


@lru_cache(maxsize=16)
def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file {ca_file}: cannot be read as certificates: {error}") from None


def _excerpt(answer: Answer) -> str:
    """Return what a refusal says in words: a JSON object's `message`, where it has one."""
    kind = answer.headers.get("content-type", "")
    if "json" not in kind and "text/plain" not in kind:
        return ""
    text = _message(answer.body) or answer.body[:300].decode("utf-8", "replace")
    text = " ".join(text.split())[:300]
    return f": {text}" if text else ""


def _message(body: bytes) -> str | None:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    message = said.get("message") if isinstance(said, dict) else None
    return message if isinstance(message, str) else None
