"""`listen`: where the API and the pages answer, and what guards them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from mlhealth.clock import MINUTE
from mlhealth.config.strict_model import Duration, Secret, Strict


class TlsConfig(Strict):
    """Serve HTTPS. `client_ca`: take only clients with a certificate of this authority."""

    certificate: str
    key: str
    key_password: Secret | None = None
    client_ca: str | None = None


class Grant(Strict):
    """What members of a group of the identity provider may do; `models`: prefixes of model names, none for all."""

    scopes: tuple[Literal["read", "ingest", "operate", "admin"], ...] = ("read",)
    models: tuple[str, ...] = ()


class OidcConfig(Strict):
    """Bearer tokens (JWT) of an OpenID Connect provider, for people and programs that it knows.

    `jwks`: where its keys are; without it, its discovery document says. `groups`: the claim that lists the groups of
    the caller. `grants`: what each group may do; a caller gets all grants of all groups, and one without any is
    refused. `refresh`: how long keys are kept before they are asked for again.
    """

    issuer: str
    audience: str
    jwks: str | None = None
    groups: str = "groups"
    name: str = "email"
    grants: Mapping[str, Grant]
    ca_file: str | None = None
    refresh: Duration = 10 * MINUTE


class RateConfig(Strict):
    """How often one caller may ask: on average per second, and at once; and how often fail to say who they are."""

    per_second: float = Field(default=1000.0, gt=0)
    burst: int = Field(default=5000, ge=1)
    failures_per_minute: int = Field(default=60, ge=1)


class ListenConfig(Strict):
    """Where the API and the pages answer.

    `allow_open`: answer without authentication even where others can reach the address. `max_body_bytes`: the longest
    body of a request that sends no events (for those, see the inbox).
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    allow_open: bool = False
    tls: TlsConfig | None = None
    oidc: OidcConfig | None = None
    rate: RateConfig = RateConfig()
    max_body_bytes: int = Field(default=1024 * 1024, ge=1024)

    @model_validator(mode="after")
    def _open_or_guarded(self) -> ListenConfig:
        if self.allow_open and self.oidc is not None:
            raise ValueError("allow_open: the service has an identity provider, so it cannot be open too")
        return self
