"""Access tokens: made once, shown once, kept as a digest, with scopes and an end.

A token is `mlh_ID_SECRET`: the id finds its row, the secret has 256 random bits, so that an unsalted sha256 of it
can't be searched. Comparing takes the same time for any wrong secret.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import RowMapping

from mlhealth.clock import to_iso
from mlhealth.errors import AuthError, ConfigError, ConflictError, NotFoundError
from mlhealth.store.database import Database, insert_missing
from mlhealth.store.tables import store_settings
from mlhealth.store.token_tables import tokens

_PREFIX = "mlh"
_SESSION_SECRET = "session_secret"  # noqa: S105 - the name of a setting


class Scope(StrEnum):
    """What a token allows: to look, to send events and labels, to change alerts, baselines and retraining, to rule.

    ADMIN makes and ends tokens and lets events be forgotten.
    """

    READ = "read"
    INGEST = "ingest"
    OPERATE = "operate"
    ADMIN = "admin"


@dataclass(frozen=True)
class Token:
    """What is known of a token; its secret is not. `models`: prefixes of the models it is for, none for all."""

    id: str
    name: str
    scopes: frozenset[Scope]
    created: int
    expires: int | None
    revoked: int | None
    models: tuple[str, ...] = ()

    def live(self, now: int) -> bool:
        """Whether the token opens anything at `now`."""
        return self.revoked is None and (self.expires is None or now < self.expires)


@dataclass(frozen=True)
class TokenRequest:
    """What a new token is to be: `lifetime` in microseconds, None for one that does not end by itself.

    `models`: prefixes of the models it is for, none for all.
    """

    name: str
    scopes: frozenset[Scope]
    lifetime: int | None = None
    models: tuple[str, ...] = ()


class Tokens:
    """The tokens of a store."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def create(self, request: TokenRequest, now: int) -> tuple[Token, str]:
        """Make a token; returns what is known of it, and its text, which can't be had again."""
        if not request.name.strip() or not request.scopes:
            raise ConfigError("a token needs a name and at least one scope")
        identity, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        expires = None if request.lifetime is None else now + request.lifetime
        token = Token(identity, request.name.strip(), request.scopes, now, expires, None, request.models)
        row = {
            "id": token.id,
            "name": token.name,
            "digest": _digest(secret),
            "scopes": " ".join(sorted(token.scopes)),
            "models": list(token.models),
        }
        with self.database.begin() as connection:
            connection.execute(sa.insert(tokens).values(**row, created=now, expires=expires))
        return token, f"{_PREFIX}_{identity}_{secret}"

    def list(self) -> tuple[Token, ...]:
        """Return all tokens ever made, newest first."""
        with self.database.read() as connection:
            found = connection.execute(
                sa.select(tokens).order_by(tokens.c.created.desc(), tokens.c.id)
            ).mappings()
            return tuple(_token(row) for row in found)

    def find(self, identity: str) -> Token | None:
        """Return the token of that id."""
        with self.database.read() as connection:
            row = connection.execute(sa.select(tokens).where(tokens.c.id == identity)).mappings().first()
        return None if row is None else _token(row)

    def any_live(self, now: int) -> bool:
        """Whether any token opens anything at `now`."""
        ends = sa.or_(tokens.c.expires.is_(None), tokens.c.expires > now)
        query = sa.select(tokens.c.id).where(tokens.c.revoked.is_(None), ends).limit(1)
        with self.database.read() as connection:
            return connection.execute(query).first() is not None

    def any_ever(self) -> bool:
        """Whether a token was ever made: from then on the pages stay closed, even when all have ended."""
        with self.database.read() as connection:
            return connection.execute(sa.select(tokens.c.id).limit(1)).first() is not None

    def revoke(self, identity: str, now: int) -> None:
        """End a token; raises NotFoundError where there is none of that id."""
        query = (
            sa.update(tokens).where(tokens.c.id == identity, tokens.c.revoked.is_(None)).values(revoked=now)
        )
        with self.database.begin() as connection:
            changed: Any = connection.execute(query)
        if changed.rowcount == 0 and self.find(identity) is None:
            raise NotFoundError(f"no token has the id {identity!r}; `mlhealth token list` shows them")

    def rotate(self, identity: str, grace: int, now: int) -> tuple[Token, str]:
        """Make a token that allows what an old one does, for as long; the old one ends after `grace` microseconds.

        So both are good while whoever uses the old one is given the new one. Raises NotFoundError, ConflictError.
        """
        old = self.find(identity)
        if old is None:
            raise NotFoundError(f"no token has the id {identity!r}; `mlhealth token list` shows them")
        if not old.live(now):
            raise ConflictError(f"the token {old.name!r} has ended; `mlhealth token create` makes a new one")
        lifetime = None if old.expires is None else old.expires - old.created
        fresh = self.create(TokenRequest(old.name, old.scopes, lifetime, old.models), now)
        ends = now + grace if old.expires is None else min(old.expires, now + grace)
        with self.database.begin() as connection:
            connection.execute(sa.update(tokens).where(tokens.c.id == identity).values(expires=ends))
        return fresh

    def verify(self, text: str, now: int) -> Token:
        """Return the token whose text this is; raises AuthError where it opens nothing."""
        prefix, _, rest = text.strip().partition("_")
        identity, _, secret = rest.partition("_")
        with self.database.read() as connection:
            row = connection.execute(sa.select(tokens).where(tokens.c.id == identity)).mappings().first()
        known = row["digest"] if row is not None else _digest("")
        right = hmac.compare_digest(known, _digest(secret))
        if prefix != _PREFIX or row is None or not right:
            raise AuthError("the token is not known; `mlhealth token create` makes one")
        token = _token(row)
        if not token.live(now):
            ended = token.revoked or token.expires or now
            raise AuthError(
                f"the token {token.name!r} ended at {to_iso(ended)}; `mlhealth token create` makes a new one"
            )
        return token

    def session_secret(self) -> str:
        """Return the secret that signs session cookies; made at first use, the same for every process of a store."""
        fresh = {"name": _SESSION_SECRET, "value": secrets.token_urlsafe(32)}
        with self.database.begin() as connection:
            insert_missing(connection, store_settings, [fresh])
            query = sa.select(store_settings.c.value).where(store_settings.c.name == _SESSION_SECRET)
            return str(connection.execute(query).scalar_one())


def parse_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Return scopes by name; raises ConfigError for an unknown one."""
    known = {str(scope): scope for scope in Scope}
    for name in names:
        if name not in known:
            raise ConfigError(f"scope {name!r} is not known; use {', '.join(known)}")
    return frozenset(known[name] for name in names)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: RowMapping) -> Token:
    scopes = frozenset(Scope(name) for name in row["scopes"].split())
    models = tuple(row["models"] or ())
    return Token(row["id"], row["name"], scopes, row["created"], row["expires"], row["revoked"], models)
