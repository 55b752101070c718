"""The API keeps to its own description, whatever it is sent."""

from __future__ import annotations

import os
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, reject, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)

from mlhealth.api.app import create_app
from mlhealth.api.door import Door
from mlhealth.api.services import Services
from mlhealth.config.listen import ListenConfig, RateConfig
from mlhealth.store.inbox import Inbox
from tests.store_builder import FilledStore
from tests.web_server import served

EXAMPLES = int(os.environ.get("MLHEALTH_API_EXAMPLES", "5"))
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture
def described(store: FilledStore) -> FastAPI:
    """The whole application, without a limit on how often it may be asked."""
    rate = RateConfig(per_second=1e6, burst=1_000_000, failures_per_minute=1_000_000)
    door = Door(Inbox(store.database), store.clock, 1 << 20)
    parts = Services(
        queries=store.queries,
        tokens=store.tokens,
        clock=store.clock,
        door=door,
        listen=ListenConfig(rate=rate),
    )
    return create_app(parts)


def test_every_operation_keeps_to_the_openapi_document(described: FastAPI) -> None:
    """Schemathesis sends each operation what its description allows: no 500, and answers as they are described."""
    with served(described) as address:
        api = schemathesis.openapi.from_url(f"{address}/openapi.json")
        operations: list[Any] = [found.ok() for found in api.get_all_operations()]  # type: ignore[union-attr]
        with httpx.Client(timeout=30.0) as client:
            for operation in operations:
                _ask(operation, client)
    assert len(operations) >= 15


def _ask(operation: Any, client: httpx.Client) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.generate],
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        answer = _sent(case, client)
        case.validate_response(answer, checks=CHECKS)

    ask()


def _sent(case: Any, client: httpx.Client) -> httpx.Response:
    """Send a case without the token that it made up: the service is open here, and a wrong one would hide the route."""
    sent = case.as_transport_kwargs()
    body = {name: sent[name] for name in ("json", "data") if sent.get(name) is not None}
    if isinstance(body.get("data"), bytes):
        body["content"] = body.pop("data")
    headers = {
        name: value for name, value in dict(sent["headers"]).items() if name.lower() != "authorization"
    }
    try:
        return client.request(case.method, sent["url"], params=sent.get("params"), headers=headers, **body)
    except (httpx.LocalProtocolError, UnicodeEncodeError):
        reject()
