"""A token for some models shows nothing of others, whatever it asks; scopes, sizes and rates are kept."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from mlhealth.api.app import create_app
from mlhealth.api.door import Door
from mlhealth.api.services import Services
from mlhealth.config.listen import ListenConfig, RateConfig
from mlhealth.store.inbox import Inbox
from mlhealth.store.tokens import TokenRequest, parse_scopes
from tests.integration.web.client import VERSION, Reach, bearer, login
from tests.store_builder import FilledStore
from tests.web_server import application

SECRET = "loan-default"
OPEN = {"/healthz", "/readyz", "/openapi.json"}
VALUES = {"model": SECRET, "version": "3", "start": "0", "segment": ""}


def token_for(store: FilledStore, models: tuple[str, ...], *scopes: str) -> str:
    """Return the text of a token for models of these prefixes."""
    request = TokenRequest("tenant", parse_scopes(scopes), None, models)
    return store.tokens.create(request, store.clock.now())[1]


def services(store: FilledStore, **changes: Any) -> Services:
    """Return the services of an application with an inbox."""
    door = Door(Inbox(store.database), store.clock, 4096)
    return Services(queries=store.queries, tokens=store.tokens, clock=store.clock, door=door, **changes)


def sendable(operation: dict[str, Any]) -> dict[str, Any]:
    """Return a body that an operation might take."""
    content = operation.get("requestBody", {}).get("content", {})
    if not content or "application/json" not in content:
        return {"content": b"{}"}
    return {"json": {"name": "x", "scopes": ["read"], "matchers": ['rule="x"'], "duration": "1h",
                     "comment": "x", "reason": "x", "status": "running", "ids": ["x"]}}  # fmt: skip


def test_no_route_of_the_api_shows_another_tenants_model(store: FilledStore, reach: Reach) -> None:
    """Every operation of the OpenAPI document, asked with a foreign tenant's full token, is silent about the model."""
    client = reach(create_app(services(store)))
    foreign = bearer(token_for(store, ("other-",), "read", "ingest", "operate", "admin"))
    document = client.get("/openapi.json", headers=foreign).json()
    alert, request = store.queries.alerts.current()[0].alert, store.queries.alerts.retrainings()[0].request
    values = {**VALUES, "fingerprint": alert.fingerprint, "request_id": request.id}
    asked = 0
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            if path in OPEN:
                continue
            url = re.sub(r"\{(\w+)\}", lambda m: values.get(m[1], "unknown"), path)
            answer = client.request(verb.upper(), url, headers=foreign, **sendable(operation))
            told = answer.text
            for echoed in (f"the model '{SECRET}'", alert.fingerprint, request.id):
                told = told.replace(echoed, "")
            assert SECRET not in told, (
                verb,
                path,
                answer.text[:300],
            )
            if "{model}" in path:
                assert answer.status_code == 403, (verb, path, answer.status_code)
            if {"{fingerprint}", "{request_id}"} & set(re.findall(r"\{\w+\}", path)):
                assert answer.status_code in {404, 422}, (verb, path, answer.status_code)
            asked += 1
    assert asked >= 15


@pytest.mark.parametrize("path", ["/", "/alerts", "/retraining", "/monitor", "/silences/new"])
def test_no_page_shows_another_tenants_model(store: FilledStore, reach: Reach, path: str) -> None:
    """Pages list the tenant's own models alone; another's own page is refused."""
    client = reach(application(store))
    login(client, token_for(store, ("other-",), "read", "operate"))
    answer = client.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert SECRET not in answer.text
    refused = client.get(f"/models/{SECRET}/versions/3", headers={"Accept": "text/html"})
    assert refused.status_code == 403


def test_a_tenant_sees_its_own(store: FilledStore, reach: Reach) -> None:
    """The same token for the right prefix sees the model, its alerts and its retraining."""
    client = reach(application(store))
    own = bearer(token_for(store, ("loan-",), "read"))
    assert [v["model"] for v in client.get("/v1/models", headers=own).json()] == [SECRET]
    assert client.get(f"{VERSION}/windows", headers=own).status_code == 200
    assert client.get("/v1/alerts", headers=own).json()
    assert client.get("/metrics", headers=own).status_code == 403


@pytest.mark.parametrize(
    ("verb", "path", "scope"),
    [
        ("GET", "/v1/models", "read"),
        ("POST", f"{VERSION}/events", "ingest"),
        ("POST", "/v1/cloudevents", "ingest"),
        ("POST", "/v1/silences", "operate"),
        ("GET", "/v1/tokens", "admin"),
    ],
)
def test_each_scope_opens_its_own_doors(
    store: FilledStore, reach: Reach, verb: str, path: str, scope: str
) -> None:
    """Without the scope 403 names it; without a token 401; a wrong token is 401 too."""
    client = reach(create_app(services(store)))
    others = [name for name in ("read", "ingest", "operate", "admin") if name != scope]
    answer = client.request(verb, path, headers=bearer(token_for(store, (), *others)), content=b"{}")
    assert answer.status_code == 403
    assert scope in answer.json()["detail"]
    assert client.request(verb, path, content=b"{}").status_code == 401
    assert client.request(verb, path, headers=bearer("mlh_x_y"), content=b"{}").status_code == 401


def test_an_administrator_cannot_give_what_they_have_not(store: FilledStore, reach: Reach) -> None:
    """A tenant's administrator makes tokens for their own models and scopes only, and sees only such."""
    client = reach(create_app(services(store)))
    whole = token_for(store, (), "read")
    admin = bearer(token_for(store, ("loan-",), "read", "admin"))

    def make(**wanted: object) -> httpx.Response:
        return client.post("/v1/tokens", headers=admin, json={"name": "x", "scopes": ["read"], **wanted})

    assert make(models=["loan-default"]).status_code == 201
    assert make().status_code == 403
    assert make(models=["other-"]).status_code == 403
    assert make(models=["loan-"], scopes=["operate"]).status_code == 403
    listed = client.get("/v1/tokens", headers=admin).json()
    assert all(token["models"] for token in listed)
    identity = whole.split("_")[1]
    assert client.delete(f"/v1/tokens/{identity}", headers=admin).status_code == 404


def test_a_token_is_rotated_without_a_gap(store: FilledStore, reach: Reach) -> None:
    """Old and new token are both good until the grace is over; then the new one alone."""
    client = reach(create_app(services(store)))
    old = token_for(store, (), "read", "admin")
    identity = old.split("_")[1]
    made = client.post(f"/v1/tokens/{identity}/rotate", headers=bearer(old), json={"grace": "1h"})
    assert made.status_code == 201
    new = made.json()["token"]
    assert [client.get("/v1/models", headers=bearer(t)).status_code for t in (old, new)] == [200, 200]
    store.clock.advance(3_600_000_000)
    assert [client.get("/v1/models", headers=bearer(t)).status_code for t in (old, new)] == [401, 200]


def test_bodies_rates_and_failed_logins_have_limits(store: FilledStore, reach: Reach) -> None:
    """413 for a body that is too long, 429 with Retry-After for too many requests or too many wrong tokens."""
    text = bearer(token_for(store, (), "read", "ingest", "operate"))
    listen = ListenConfig(
        max_body_bytes=1024, rate=RateConfig(per_second=0.001, burst=12, failures_per_minute=2)
    )
    client = reach(create_app(services(store, listen=listen)))
    assert client.post("/v1/silences", headers=text, content=b"x" * 2000).status_code == 413
    assert client.post(f"{VERSION}/events", headers=text, content=b"x" * 5000).status_code == 413
    answers = [client.get("/v1/models", headers=text) for _ in range(15)]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert client.get("/healthz").status_code == 200
    statuses = [client.get("/v1/models", headers=bearer(f"mlh_{i}_x")).status_code for i in range(4)]
    assert statuses == [401, 401, 429, 429]


def test_forgetting_needs_an_administrator_of_the_model(store: FilledStore, reach: Reach) -> None:
    """Over HTTP the scope admin is needed, for that model; the answer says how much went."""
    client, path = reach(application(store)), "/v1/models/loan-default/forget"

    def ask(token: str, **body: object) -> httpx.Response:
        return client.post(path, headers=bearer(token), json=body)

    assert ask(token_for(store, (), "read", "operate"), ids=["a"]).status_code == 403
    assert ask(token_for(store, ("other-",), "admin"), ids=["a"]).status_code == 403
    admin = token_for(store, ("loan-",), "admin")
    assert ask(admin, ids=[]).status_code == 422
    answer = ask(admin, ids=["a"])
    assert answer.status_code == 200
    assert answer.json() == {"rows": 0, "labels": 0, "drawn": 0, "halves": 0, "letters": 0}
