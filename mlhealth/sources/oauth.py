"""Access tokens by OAuth 2 client credentials (RFC 6749 §4.4), kept until shortly before they end."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import httpx

from mlhealth.config.sources import KafkaSecurity
from mlhealth.errors import SourceUnavailable

_MARGIN = 30.0
_DEFAULT_SECONDS = 300.0


@dataclass(frozen=True)
class Credentials:
    """Who asks for tokens, where, and for what."""

    url: str
    client: str
    secret: str
    scope: str | None = None


class TokenEndpoint:
    """Gives a token that is valid now; safe to ask from several threads."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._lock = threading.Lock()
        self._token = ""
        self._end = 0.0

    def token(self) -> tuple[str, float]:
        """Return a token and when it ends (seconds since the epoch); raises SourceUnavailable."""
        with self._lock:
            if time.time() >= self._end - _MARGIN:
                self._token, self._end = self._ask()
            return self._token, self._end

    def _ask(self) -> tuple[str, float]:
        asked = self._credentials
        form = {"grant_type": "client_credentials"} | ({"scope": asked.scope} if asked.scope else {})
        try:
            answer = httpx.post(asked.url, data=form, auth=(asked.client, asked.secret), timeout=10.0)
            answer.raise_for_status()
            found = answer.json()
            return str(found["access_token"]), time.time() + float(found.get("expires_in", _DEFAULT_SECONDS))
        except httpx.HTTPStatusError as error:
            raise SourceUnavailable(
                f"{asked.url} gave no token: HTTP {error.response.status_code}; check username (client id) and password"
            ) from error
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise SourceUnavailable(f"{asked.url} gave no token: {type(error).__name__}: {error}") from error


def credentials_of(security: KafkaSecurity) -> Credentials:
    """Return the credentials of a broker's configuration."""
    secret = security.password.get_secret_value() if security.password else ""
    return Credentials(security.token_url or "", security.username or "", secret, security.scope)
