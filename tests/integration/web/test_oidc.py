"""People behind an identity provider: a real provider of our own, with real keys, as strict as the standard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI

from mlhealth.api.app import create_app
from mlhealth.api.oidc import Oidc
from mlhealth.api.services import Services
from mlhealth.clock import SystemClock
from mlhealth.config.listen import Grant, OidcConfig
from tests.integration.web.client import Reach, bearer
from tests.store_builder import FilledStore
from tests.web_server import served

Sign = Callable[..., str]


class Provider:
    """An identity provider with one RSA key at a time."""

    def __init__(self) -> None:
        self.address = ""
        self.rotate("k1")

    def rotate(self, name: str) -> None:
        """Take a new key."""
        self.name, self.key = name, rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def app(self) -> FastAPI:
        """Return its discovery document and its keys as a service."""
        service = FastAPI()

        @service.get("/.well-known/openid-configuration")
        def discovery() -> dict[str, Any]:
            return {"issuer": self.address, "jwks_uri": f"{self.address}/keys"}

        @service.get("/keys")
        def keys() -> dict[str, Any]:
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
            return {"keys": [{**public, "kid": self.name, "use": "sig", "alg": "RS256"}]}

        return service

    def token(self, **changes: Any) -> str:
        """Return a signed token of a member of `analysts`."""
        now = SystemClock().now() // 1_000_000
        claims = {
            "iss": self.address,
            "aud": "mlhealth",
            "sub": "u1",
            "email": "ann@example.org",
            "groups": ["analysts"],
            "iat": now,
            "exp": now + 300,
        }
        found = {name: value for name, value in {**claims, **changes}.items() if value is not None}
        return jwt.encode(found, self.key, algorithm="RS256", headers={"kid": self.name})


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider that answers."""
    found = Provider()
    with served(found.app()) as address:
        found.address = address
        yield found


def guarded(store: FilledStore, provider: Provider) -> FastAPI:
    """Return an application that trusts the provider."""
    grants = {
        "analysts": Grant(scopes=("read",), models=("loan-",)),
        "oncall": Grant(scopes=("read", "operate")),
    }
    config = OidcConfig(issuer=provider.address, audience="mlhealth", grants=grants)
    clock = SystemClock()
    return create_app(
        Services(queries=store.queries, tokens=store.tokens, clock=clock, oidc=Oidc(config, clock))
    )


def test_a_member_may_what_the_grant_says(store: FilledStore, provider: Provider, reach: Reach) -> None:
    """Groups become scopes and models; without a token everything is closed."""
    client = reach(guarded(store, provider))
    assert client.get("/v1/models").status_code == 401
    ann = bearer(provider.token())
    assert [v["model"] for v in client.get("/v1/models", headers=ann).json()] == ["loan-default"]
    silence = {"matchers": ['model="loan-default"'], "duration": "1h", "comment": "x"}
    assert client.post("/v1/silences", headers=ann, json=silence).status_code == 403
    bob = bearer(provider.token(groups=["oncall"]))
    assert client.post("/v1/silences", headers=bob, json=silence).status_code == 201
    assert client.get("/", headers={**ann, "Accept": "text/html"}).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "other"}, {"iss": "https://evil.example"}, {"exp": 1}, {"groups": ["strangers"]}, {"groups": None},
        {"sub": None}, {"iat": None}, {"exp": None},
    ],
)  # fmt: skip
def test_tokens_for_others_are_refused(
    store: FilledStore, provider: Provider, reach: Reach, changes: dict[str, Any]
) -> None:
    """Another audience or issuer, an end in the past, no grant or a missing claim: 401, and it says why."""
    client = reach(guarded(store, provider))
    answer = client.get("/v1/models", headers=bearer(provider.token(**changes)))
    assert answer.status_code == 401
    assert "identity provider" in answer.json()["detail"]


def test_forged_signatures_open_nothing(store: FilledStore, provider: Provider, reach: Reach) -> None:
    """No signature, a shared secret made of the public key, and a stranger's key are refused."""
    client = reach(guarded(store, provider))
    good = provider.token()
    claims = jwt.decode(good, options={"verify_signature": False})
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = [
        jwt.encode(claims, "", algorithm="none", headers={"kid": provider.name}),
        jwt.encode(claims, "k" * 40, algorithm="HS256", headers={"kid": provider.name}),
        jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": provider.name}),
        good[:-4] + "AAAA",
        "a.b.c",
    ]
    assert [client.get("/v1/models", headers=bearer(t)).status_code for t in forged] == [401] * len(forged)
    assert client.get("/v1/models", headers=bearer(good)).status_code == 200


def test_a_new_key_is_fetched(store: FilledStore, provider: Provider, reach: Reach) -> None:
    """After the provider has changed its key, its tokens are good again as soon as keys may be asked for again."""
    application = guarded(store, provider)
    client = reach(application)
    assert client.get("/v1/models", headers=bearer(provider.token())).status_code == 200
    provider.rotate("k2")
    assert client.get("/v1/models", headers=bearer(provider.token())).status_code == 401
    application.state.services.oidc._asked -= 11_000_000
    assert client.get("/v1/models", headers=bearer(provider.token())).status_code == 200
