"""The example service logs over real HTTP, and what it logs can be used."""

from __future__ import annotations

import httpx

from examples.serving.fastapi_service import create_app
from mlhealth.api.door import Door
from mlhealth.api.services import Services
from mlhealth.client import Http
from mlhealth.store.inbox import Inbox
from tests.integration.web.client import Reach
from tests.store_builder import FilledStore


def test_the_example_service_logs_into_the_inbox(store: FilledStore, reach: Reach) -> None:
    """Each answer that the service gives is an event in the inbox, under the id that its caller got."""
    from mlhealth.api.app import create_app as create_mlhealth

    text = store.add_token("loans", "ingest")
    inbox = Inbox(store.database)
    parts = Services(
        queries=store.queries, tokens=store.tokens, clock=store.clock, door=Door(inbox, store.clock, 1 << 20)
    )
    mlhealth: httpx.Client = reach(create_mlhealth(parts))
    service = create_app(Http(str(mlhealth.base_url), text))
    client = reach(service)
    answers = [client.post("/predict", json={"income": 1.0, "debt": float(i)}).json() for i in range(5)]
    service.state.logger.close()
    assert service.state.logger.stats().sent == 5
    body = b"\n".join(message.entry.body for message in inbox.read(0, 0, 1 << 20))
    assert all(answer["id"].encode() in body for answer in answers)
