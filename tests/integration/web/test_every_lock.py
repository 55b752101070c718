"""Every operation of the OpenAPI document is locked: token, scope, size and type, each with a status and a reason.

That no operation shows another tenant's model is in `test_tenants.py`, which walks the same document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import httpx
import pytest

from mlhealth.api.app import create_app
from mlhealth.config.listen import ListenConfig, RateConfig
from tests.integration.web.client import Reach, bearer
from tests.integration.web.test_tenants import OPEN, VALUES, sendable, services, token_for
from tests.store_builder import FilledStore

SCOPES = ("read", "ingest", "operate", "admin")
LARGE_BODIES = {"/v1/baselines"}
"""They have a limit of their own, of many megabytes."""
UNLIMITED = RateConfig(per_second=1e6, burst=1_000_000, failures_per_minute=1_000_000)


@dataclass(frozen=True)
class Operation:
    """One operation of the document, with parameters filled in."""

    verb: str
    path: str
    described: dict[str, Any]

    @property
    def url(self) -> str:
        """Return the address to ask."""
        return re.sub(r"\{(\w+)\}", lambda found: VALUES.get(found[1], "unknown"), self.path)

    @property
    def takes_a_body(self) -> bool:
        """Whether it is described as having a body."""
        return "requestBody" in self.described

    def ask(self, client: httpx.Client, headers: dict[str, str], **body: Any) -> httpx.Response:
        """Ask it, with a body it might take unless another is given."""
        return client.request(self.verb, self.url, headers=headers, **(body or sendable(self.described)))

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


@pytest.fixture
def client(store: FilledStore, reach: Reach) -> httpx.Client:
    """A client of a service that has tokens, and small limits for bodies."""
    token_for(store, (), "read")
    return reach(create_app(services(store, listen=ListenConfig(max_body_bytes=1024, rate=UNLIMITED))))


def operations(client: httpx.Client, store: FilledStore) -> Iterator[Operation]:
    """Yield every operation that is not open to all."""
    whole = bearer(token_for(store, (), *SCOPES))
    document = client.get("/openapi.json", headers=whole).json()
    for path, verbs in document["paths"].items():
        for verb, described in verbs.items():
            if path not in OPEN:
                yield Operation(verb.upper(), path, described)


def reason_of(answer: httpx.Response) -> str:
    """Return the reason in an answer's body, which must be a sentence."""
    detail = answer.json()["detail"]
    assert isinstance(detail, str)
    assert len(detail) > 10
    return detail


def test_every_operation_wants_a_token(client: httpx.Client, store: FilledStore) -> None:
    """Without a token, with a wrong one and with one that has ended: 401, a reason, and how to log in."""
    asked = 0
    for operation in operations(client, store):
        for headers in ({}, bearer("mlh_00000000_wrong"), bearer("x.y.z"), {"Authorization": "Basic eDp5"}):
            answer = operation.ask(client, headers)
            assert answer.status_code == 401, (str(operation), headers, answer.status_code)
            assert "token" in reason_of(answer)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        asked += 1
    assert asked >= 40


def lacking(answer: httpx.Response) -> str | None:
    """Return the scope that an answer says the token lacks; None where it was let in."""
    if answer.status_code != 403:
        return None
    found = re.search(r"lacks the scope (\w+)", reason_of(answer))
    assert found is not None, answer.text
    return found[1]


def test_every_operation_wants_its_scopes(client: httpx.Client, store: FilledStore) -> None:
    """Some scopes open each operation; a token without any of them is refused with 403, and told which it lacks."""
    tokens = {
        chosen: bearer(token_for(store, (), *chosen))
        for n in range(1, len(SCOPES) + 1)
        for chosen in combinations(SCOPES, n)
    }
    for operation in operations(client, store):
        needed = {found for scope in SCOPES if (found := lacking(operation.ask(client, tokens[scope,])))}
        assert needed, f"{operation} is open to every token"
        assert len(needed) < len(SCOPES)
        for chosen, headers in tokens.items():
            missing = lacking(operation.ask(client, headers))
            assert (missing is None) == (needed <= set(chosen)), (str(operation), chosen, missing)


def test_every_body_has_a_limit(client: httpx.Client, store: FilledStore) -> None:
    """A body that is too long is 413 with the limit in the reason, whether its length is announced or not."""
    whole = bearer(token_for(store, (), *SCOPES))
    for operation in operations(client, store):
        if not operation.takes_a_body or operation.path in LARGE_BODIES:
            continue
        kinds = operation.described["requestBody"]["content"]
        headers = {**whole, "Content-Type": next(iter(kinds))}
        answer = operation.ask(client, headers, content=b"[" + b"1," * 4_000 + b"1]")
        assert answer.status_code == 413, (str(operation), answer.status_code, answer.text[:200])
        assert re.search(r"more than \d+ bytes|\d+ bytes", reason_of(answer)), answer.text


def test_every_body_has_a_type(client: httpx.Client, store: FilledStore) -> None:
    """A body of a kind that the operation does not read is 415, and the reason names what is read."""
    whole = bearer(token_for(store, (), *SCOPES))
    for operation in operations(client, store):
        if not operation.takes_a_body:
            continue
        kinds = operation.described["requestBody"]["content"]
        answer = operation.ask(client, {**whole, "Content-Type": "text/csv"}, content=b"a,b\n1,2\n")
        assert answer.status_code == 415, (str(operation), answer.status_code, answer.text[:200])
        assert any(kind in reason_of(answer) for kind in kinds), answer.text
