"""Routes by which an administrator makes, rotates and ends tokens; nobody can give what they have not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from mlhealth.api.access import Admin, Caller, Forbidden
from mlhealth.api.services import Services, services
from mlhealth.clock import parse_duration
from mlhealth.errors import NotFoundError
from mlhealth.store.tokens import Scope, Token, TokenRequest

router = APIRouter(prefix="/v1", tags=["admin"])
Parts = Annotated[Services, Depends(services)]


class NewToken(BaseModel):
    """What a token is to be."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200, examples=["ci"])
    scopes: list[Scope] = Field(min_length=1)
    models: list[str] = Field(default=[], description="Prefixes of model names; none for all.")
    expires: str | None = Field(default=None, examples=["90d"])


class Rotation(BaseModel):
    """For how long the old token is good beside the new one."""

    model_config = ConfigDict(extra="forbid")

    grace: str = Field(default="24h", examples=["24h"])


@dataclass(frozen=True)
class MadeToken:
    """A new token: `token` is its text, which cannot be had again."""

    id: str
    token: str


@router.get("/tokens", summary="All tokens, without their texts")
def listed(parts: Parts, caller: Admin) -> tuple[Token, ...]:
    """Return the tokens that the caller could have made."""
    return tuple(token for token in parts.tokens.list() if _covers(caller, token.models))


@router.post("/tokens", status_code=201, summary="Make a token")
def create(wanted: NewToken, parts: Parts, caller: Admin) -> MadeToken:
    """Make a token that allows no more than the caller's own."""
    models = tuple(wanted.models)
    if not set(wanted.scopes) <= caller.scopes or not _covers(caller, models):
        raise Forbidden(
            "a token cannot allow more than the one it is made with: fewer scopes, or longer prefixes"
        )
    lifetime = None if wanted.expires is None else parse_duration(wanted.expires)
    request = TokenRequest(wanted.name, frozenset(wanted.scopes), lifetime, models)
    token, text = parts.tokens.create(request, parts.clock.now())
    return MadeToken(token.id, text)


@router.post("/tokens/{identity}/rotate", status_code=201, summary="Replace a token without a gap")
def rotate(identity: str, wanted: Rotation, parts: Parts, caller: Admin) -> MadeToken:
    """Make a token in another's place; both are good until the grace is over."""
    old = _found(parts, caller, identity)
    if not old.scopes <= caller.scopes:
        raise Forbidden("a token that allows more than the caller's cannot be rotated by them")
    token, text = parts.tokens.rotate(identity, parse_duration(wanted.grace), parts.clock.now())
    return MadeToken(token.id, text)


@router.delete("/tokens/{identity}", status_code=204, summary="End a token now")
def revoke(identity: str, parts: Parts, caller: Admin) -> None:
    """End a token; sessions opened with it end too."""
    _found(parts, caller, identity)
    parts.tokens.revoke(identity, parts.clock.now())


def _found(parts: Services, caller: Caller, identity: str) -> Token:
    token = parts.tokens.find(identity)
    if token is None or not _covers(caller, token.models):
        raise NotFoundError(f"no token has the id {identity!r}")
    return token


def _covers(caller: Caller, models: tuple[str, ...]) -> bool:
    """Whether a caller may see everything that a token for these prefixes may."""
    return not caller.models or (bool(models) and all(m.startswith(caller.models) for m in models))
