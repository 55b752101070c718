"""Bearer tokens of an OpenID Connect provider: JWTs, checked by its published keys.

Only signatures with the provider's asymmetric keys count; issuer, audience and times are checked; groups become scopes
by the configuration's grants.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from mlhealth import outbound
from mlhealth.clock import SECOND, Clock
from mlhealth.config.listen import Grant, OidcConfig
from mlhealth.errors import AuthError, ConfigError, SourceUnavailable
from mlhealth.store.tokens import Scope, Token

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_LEEWAY = 30
_SOONEST = 10 * SECOND
"""How soon an unknown key may make us ask the provider again."""


class Oidc:
    """Says who a JWT's bearer is; safe to ask from several threads."""

    def __init__(self, config: OidcConfig, clock: Clock) -> None:
        try:
            import jwt
        except ModuleNotFoundError:
            raise ConfigError("listen.oidc needs PyJWT; pip install 'mlhealth[oidc]'") from None
        self._jwt = jwt
        self._config = config
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, Any] = {}
        self._asked: int | None = None

    def verify(self, text: str, now: int) -> Token:
        """Return what a JWT allows, as a token; raises AuthError, or SourceUnavailable where keys cannot be had."""
        jwt = self._jwt
        try:
            head = jwt.get_unverified_header(text)
            key = self._key(str(head.get("kid", "")), now)
            claims = jwt.decode(
                text,
                key,
                algorithms=list(_ALGORITHMS),
                audience=self._config.audience,
                issuer=self._config.issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iat", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise AuthError(f"the identity provider's token is not accepted: {error}") from None
        return _token(claims, self._config)

    def _key(self, name: str, now: int) -> Any:
        with self._lock:
            age = None if self._asked is None else now - self._asked
            unknown = name not in self._keys
            if age is None or age >= self._config.refresh or (unknown and age >= _SOONEST):
                self._load(now)
            found = self._keys.get(name)
        if found is None:
            raise AuthError(
                "the identity provider's token is signed by a key that the provider does not publish"
            )
        return found

    def _load(self, now: int) -> None:
        document = self._fetch(self._config.jwks or self._discovered())
        keys = {}
        for entry in document.get("keys") or ():
            if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
                continue
            try:
                keys[str(entry.get("kid", ""))] = self._jwt.PyJWK(entry)
            except self._jwt.PyJWTError:
                continue
        self._keys, self._asked = keys, now

    def _discovered(self) -> str:
        document = self._fetch(f"{self._config.issuer.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != self._config.issuer or not isinstance(document.get("jwks_uri"), str):
            raise SourceUnavailable(
                f"identity provider {self._config.issuer}: its discovery document names another issuer or no keys"
            )
        return str(document["jwks_uri"])

    def _fetch(self, url: str) -> Mapping[str, Any]:
        try:
            with outbound.client(timeout=10.0, ca_file=self._config.ca_file) as client:
                answer = client.get(url)
            answer.raise_for_status()
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise SourceUnavailable(f"identity provider {self._config.issuer}: {said}") from error
        return found if isinstance(found, dict) else {}


def is_jwt(text: str) -> bool:
    """Whether a bearer token has the form of a JWT; our own have no dots."""
    return text.count(".") == 2


def _token(claims: Mapping[str, Any], config: OidcConfig) -> Token:
    said = claims.get(config.groups, ())
    groups = said.split() if isinstance(said, str) else [str(group) for group in said or ()]
    grants = [config.grants[group] for group in groups if group in config.grants]
    name = str(claims.get(config.name) or claims["sub"])
    if not grants:
        raise AuthError(f"the identity provider knows {name}, but no grant is for a group of theirs")
    scopes = frozenset(Scope(scope) for grant in grants for scope in grant.scopes)
    times = int(claims["iat"]) * SECOND, int(claims["exp"]) * SECOND
    return Token(f"oidc:{claims['sub']}", name, scopes, *times, None, _models(grants))


def _models(grants: Iterable[Grant]) -> tuple[str, ...]:
    """Return the prefixes of all grants together; none, for all models, where one grant has none."""
    found = [grant.models for grant in grants]
    return (
        () if any(not models for models in found) else tuple(sorted({m for models in found for m in models}))
    )
