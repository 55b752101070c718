"""A KServe logger's URL can point at `/v1/cloudevents`: each mode of CloudEvents arrives as a half in the inbox."""

from __future__ import annotations

import json

import pytest

from mlhealth.api.app import create_app
from mlhealth.api.door import Door
from mlhealth.api.services import Services
from mlhealth.events.envelope import unpacked
from mlhealth.store.inbox import Inbox, InboxLimits
from mlhealth.store.tokens import TokenRequest, parse_scopes
from tests.integration.web.client import Reach, bearer
from tests.store_builder import FilledStore

HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "e1",
    "ce-source": "http://localhost:9081/",
    "ce-type": "org.kubeflow.serving.inference.request",
    "ce-time": "2026-01-01T00:00:00Z",
    "ce-inferenceservicename": "loans",
    "ce-namespace": "default",
    "ce-component": "predictor",
    "Content-Type": "application/json",
}
BODY = {"instances": [[1, 2]]}


def event(kind: str = "request", **changes: object) -> dict[str, object]:
    """Return an event in structured mode."""
    found: dict[str, object] = {
        name.removeprefix("ce-"): value for name, value in HEADERS.items() if name.startswith("ce-")
    }
    return {**found, "type": f"org.kubeflow.serving.inference.{kind}", "data": BODY, **changes}


@pytest.fixture
def inbox(store: FilledStore) -> Inbox:
    """An inbox that four workers may share."""
    return Inbox(store.database, InboxLimits(partitions=4))


def test_binary_structured_and_batched_events_arrive(store: FilledStore, inbox: Inbox, reach: Reach) -> None:
    """All three modes give the same half; both halves of an inference lie in one partition."""
    client = reach(
        create_app(
            Services(store.queries, store.tokens, clock=store.clock, door=Door(inbox, store.clock, 4096))
        )
    )
    answers = [
        client.post("/v1/cloudevents", headers=HEADERS, content=json.dumps(BODY)),
        client.post(
            "/v1/cloudevents?version=3",
            headers={"Content-Type": "application/cloudevents+json"},
            content=json.dumps(event("response")),
        ),
        client.post(
            "/v1/cloudevents",
            headers={"Content-Type": "application/cloudevents-batch+json"},
            content=json.dumps([event(), event("response", id="e2")]),
        ),
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert answers[2].json()["accepted"] == 2
    found = {n: [m.entry for m in inbox.read(n, 0, 1 << 20)] for n in range(4)}
    halves = [(n, entry.version, unpacked(entry.body)) for n, entries in found.items() for entry in entries]
    assert len({n for n, _, half in halves if half.id == "e1"}) == 1
    assert sorted((half.id, half.kind, version) for _, version, half in halves) == [
        ("e1", "request", ""), ("e1", "request", ""), ("e1", "response", "3"), ("e2", "response", ""),
    ]  # fmt: skip
    assert {json.dumps(json.loads(half.data)) for _, _, half in halves} == {json.dumps(BODY)}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps(event(type="com.example.order")), "neither in .request nor in .response"),
        (json.dumps(event(specversion="0.3")), "version 1.0"),
        (json.dumps(event(inferenceservicename=None)), "names no model"),
        ("[1]", "must be a JSON object"),
        ("{", "not a CloudEvent"),
    ],
)
def test_what_is_no_inference_is_refused_with_the_reason(
    store: FilledStore, inbox: Inbox, reach: Reach, content: str, said: str
) -> None:
    """400 says what is wrong, and nothing is written."""
    client = reach(
        create_app(
            Services(store.queries, store.tokens, clock=store.clock, door=Door(inbox, store.clock, 4096))
        )
    )
    answer = client.post(
        "/v1/cloudevents", headers={"Content-Type": "application/cloudevents+json"}, content=content
    )
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert all(not inbox.read(n, 0, 1 << 20) for n in range(4))


def test_a_tenant_cannot_send_anothers_events(store: FilledStore, inbox: Inbox, reach: Reach) -> None:
    """403 for a model beyond the token's prefixes, even in a batch with models of its own."""
    request = TokenRequest("t", parse_scopes(["ingest"]), None, ("fraud-",))
    text = store.tokens.create(request, store.clock.now())[1]
    client = reach(
        create_app(
            Services(store.queries, store.tokens, clock=store.clock, door=Door(inbox, store.clock, 4096))
        )
    )
    answer = client.post(
        "/v1/cloudevents",
        headers={**bearer(text), "Content-Type": "application/cloudevents-batch+json"},
        content=json.dumps([event(inferenceservicename="fraud-1"), event()]),
    )
    assert answer.status_code == 403
    assert all(not inbox.read(n, 0, 1 << 20) for n in range(4))
