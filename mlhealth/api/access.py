"""Who may do what: bearer tokens for programs, a signed session cookie for people, a CSRF token on every change.

On a loopback address, pages and API are open until the first token is made; any other address needs one. An open
service answers only to loopback names, so that a foreign page cannot reach it by pointing its own name there.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, cast
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.responses import Response

from mlhealth.api.oidc import is_jwt
from mlhealth.api.services import Services, services
from mlhealth.config.listen import ListenConfig
from mlhealth.errors import AuthError, ConfigError
from mlhealth.events.bodies import UnknownContentType
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
    def models(self) -> tuple[str, ...]:
        """Return the prefixes of the models that the caller may see; none for all."""
        return () if self.token is None else self.token.models

    def may(self, model: str) -> bool:
        """Whether the caller may have to do with a model."""
        return not self.models or model.startswith(self.models)

    def check(self, model: str) -> None:
        """Raise Forbidden where the caller may not have to do with a model, whether it is there or not."""
        if not self.may(model):
            raise Forbidden(f"the token {self.name!r} is not for the model {model!r}")

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


def check_address(listen: ListenConfig, tokens: Tokens, now: int) -> None:
    """Raise ConfigError where others could reach the address, nothing guards it, and nobody said that it may be so."""
    if is_loopback(listen.host) or listen.oidc is not None or listen.allow_open or tokens.any_live(now):
        return
    raise ConfigError(
        f"listen.host {listen.host}: an address that others can reach needs a token; "
        "make one with `mlhealth token create NAME`, or listen on 127.0.0.1, or say `listen: {allow_open: true}`"
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
    caller = _known(request, bearer, parts)
    model = request.path_params.get("model")
    if model is not None:
        caller.check(str(model))
    return caller


def _known(request: Request, bearer: HTTPAuthorizationCredentials | None, parts: Services) -> Caller:
    now = parts.clock.now()
    session, identity = sessions(request).read(request)
    if bearer is not None:
        token = _verified(bearer.credentials, parts, now)
        return Caller(token, token.scopes, session)
    _check_origin(request)
    known = parts.tokens.find(identity) if identity else None
    if known is not None and known.live(now):
        return Caller(known, known.scopes, session)
    return _anyone(request, parts, session)


def _verified(text: str, parts: Services, now: int) -> Token:
    if parts.oidc is not None and is_jwt(text):
        return parts.oidc.verify(text, now)
    return parts.tokens.verify(text, now)


def _anyone(request: Request, parts: Services, session: str) -> Caller:
    """Return a caller of whom nothing is known, where the service is open; raises AuthError, Forbidden."""
    everyone = Caller(None, frozenset(Scope), session)
    if parts.allow_open and not parts.tokens.any_ever():
        return everyone
    if not is_loopback(parts.host) or parts.tokens.any_ever() or parts.oidc is not None:
        raise AuthError("no token was shown; send `Authorization: Bearer …`, or log in at /login")
    if not is_loopback(request.url.hostname or ""):
        raise Forbidden("this service is open to this machine alone, under the name localhost or 127.0.0.1")
    return everyone


def _check_origin(request: Request) -> None:
    """Raise Forbidden where a browser says that another site's page wants to change something here."""
    origin = request.headers.get("origin")
    if origin is None or request.method in {"GET", "HEAD"}:
        return
    if urlsplit(origin).netloc != request.headers.get("host"):
        raise Forbidden(f"pages of {origin} may not change anything here")


def check_type(request: Request) -> None:
    """Raise UnknownContentType where an operation of the API that reads JSON is sent something else."""
    is_json = getattr(request.scope.get("route"), "body_field", None) is not None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if is_json and request.url.path.startswith("/v1/") and kind and not kind.endswith(("/json", "+json")):
        raise UnknownContentType(f"content type {kind} is not read here; send application/json")


def needs(scope: Scope) -> Callable[[Request, Caller], Caller]:
    """Return a dependency that lets only callers with `scope` pass."""

    def allowed(request: Request, caller: Annotated[Caller, Depends(who)]) -> Caller:
        if scope not in caller.scopes:
            raise Forbidden(f"the token {caller.name!r} lacks the scope {scope}")
        check_type(request)
        return caller

    return allowed


def unrestricted(caller: Annotated[Caller, Depends(needs(Scope.READ))]) -> Caller:
    """Let only callers pass who may see every model."""
    if caller.models:
        raise Forbidden(f"the token {caller.name!r} is for some models only, and this speaks of all")
    return caller


def own_services(
    parts: Annotated[Services, Depends(services)], caller: Annotated[Caller, Depends(needs(Scope.READ))]
) -> Services:
    """Return the services with questions that show the caller's models alone."""
    return replace(parts, queries=parts.queries.within(caller.models)) if caller.models else parts


Reader = Annotated[Caller, Depends(needs(Scope.READ))]
WholeReader = Annotated[Caller, Depends(unrestricted)]
Admin = Annotated[Caller, Depends(needs(Scope.ADMIN))]
Sender = Annotated[Caller, Depends(needs(Scope.INGEST))]
Operator = Annotated[Caller, Depends(needs(Scope.OPERATE))]
