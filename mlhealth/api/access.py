"""Who may do what: bearer tokens for programs, a signed session cookie for people, a CSRF token on every change.

On a loopback address, pages and API are open until the first token is made; any other address needs one. An open
service answers only to loopback names, so that a foreign page cannot reach it by pointing its own name there.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, cast
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.responses import Response

from mlhealth.api.services import Services, services
from mlhealth.errors import AuthError, ConfigError
from mlhealth.store.tokens import Scope, Token, Tokens

COOKIE = "mlhealth_session"
SESSION_SECONDS = 12 * 3600
_BEARER = HTTPBearer(auto_error=False, description="A token made by `mlhealth token create`.")


class Forbidden(AuthError):
    """The caller is known but lacks the right."""


@dataclass(frozen=True)
class Caller:
    """Who asks: by which token (None where the service is open), and in which browser session ("" for programs)."""

    token: Token | None
    scopes: frozenset[Scope]
    session: str = ""

    @property
    def name(self) -> str:
        """Return the caller's name for the audit."""
        return "anyone on this machine" if self.token is None else self.token.name


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or address without port, can be reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("[::1]"), is_loopback("0.0.0.0"), is_loopback("example.org")
    (True, True, False, False)
    """
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_address(host: str, tokens: Tokens, now: int) -> None:
    """Raise ConfigError where others could reach `host` and no token guards it."""
    if not is_loopback(host) and not tokens.any_live(now):
        raise ConfigError(
            f"listen.host {host}: an address that others can reach needs a token; "
            "make one with `mlhealth token create NAME`, or listen on 127.0.0.1"
        )


class Sessions:
    """Browser sessions, kept in a signed cookie and nowhere else."""

    def __init__(self, secret: str) -> None:
        self._signer = URLSafeTimedSerializer(secret, salt="mlhealth.session")
        self._secret = secret.encode()

    def read(self, request: Request) -> tuple[str, str]:
        """Return the request's session and the id of the token it was opened with; "" for either that is missing."""
        try:
            session, token = self._signer.loads(request.cookies.get(COOKIE, ""), max_age=SESSION_SECONDS)
        except (BadData, ValueError, TypeError):
            return "", ""
        return str(session), str(token)

    def new(self) -> str:
        """Return the name of a session that does not exist yet."""
        return secrets.token_urlsafe(18)

    def attach(self, response: Response, request: Request, session: str, token: str = "") -> None:
        """Send a session with `response`, with the id of a token after a login."""
        value = self._signer.dumps([session, token])
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, value, SESSION_SECONDS, httponly=True, samesite="lax", secure=secure)

    def csrf(self, session: str) -> str:
        """Return the token that a form of this session carries."""
        return hmac.new(self._secret, f"csrf:{session}".encode(), "sha256").hexdigest()

    def check_csrf(self, session: str, token: str) -> None:
        """Raise Forbidden unless `token` was given to a form of this session."""
        if not session or not hmac.compare_digest(self.csrf(session), token):
            raise Forbidden("the form is too old, or was not sent from a page of this service; load it again")


def sessions(request: Request) -> Sessions:
    """Return the application's sessions (a FastAPI dependency)."""
    return cast("Sessions", request.app.state.sessions)


def who(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
    parts: Annotated[Services, Depends(services)],
) -> Caller:
    """Return who asks; raises AuthError where that must be known and is not."""
    now = parts.clock.now()
    if bearer is not None:
        token = parts.tokens.verify(bearer.credentials, now)
        return Caller(token, token.scopes)
    _check_origin(request)
    session, identity = sessions(request).read(request)
    known = parts.tokens.find(identity) if identity else None
    if known is not None and known.live(now):
        return Caller(known, known.scopes, session)
    if not is_loopback(parts.host) or parts.tokens.any_ever():
        raise AuthError("no token was shown; send `Authorization: Bearer …`, or log in at /login")
    if not is_loopback(request.url.hostname or ""):
        raise Forbidden("this service is open to this machine alone, under the name localhost or 127.0.0.1")
    return Caller(None, frozenset(Scope), session)


def _check_origin(request: Request) -> None:
    """Raise Forbidden where a browser says that another site's page wants to change something here."""
    origin = request.headers.get("origin")
    if origin is None or request.method in {"GET", "HEAD"}:
        return
    if urlsplit(origin).netloc != request.headers.get("host"):
        raise Forbidden(f"pages of {origin} may not change anything here")


def needs(scope: Scope) -> Callable[[Caller], Caller]:
    """Return a dependency that lets only callers with `scope` pass."""

    def allowed(caller: Annotated[Caller, Depends(who)]) -> Caller:
        if scope not in caller.scopes:
            raise Forbidden(f"the token {caller.name!r} lacks the scope {scope}")
        return caller

    return allowed


Reader = Annotated[Caller, Depends(needs(Scope.READ))]
Sender = Annotated[Caller, Depends(needs(Scope.INGEST))]
Operator = Annotated[Caller, Depends(needs(Scope.OPERATE))]
