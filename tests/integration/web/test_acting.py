"""What people and programs can do about alerts, and who may not."""

from __future__ import annotations

import re

import httpx

from mlhealth.store import audit
from tests.integration.web.client import HTML, bearer, form, login
from tests.store_builder import FilledStore


def test_acknowledging_and_silencing_by_form(client: httpx.Client) -> None:
    """On one's own machine the forms work without a login, and the pages show who did what."""
    sent = client.post("/alerts/b-loan-default/acknowledge", data=form(client, "/alerts"))
    assert "anyone on this machine" in sent.text
    wanted = form(
        client,
        "/silences/new",
        matchers='model="loan-default"\n',
        duration="365d",
        comment="upgrade",
        start="2026-03-01T00:00",
        hours="sat-sun 02:00-04:00",
    )
    shown = client.post("/silences", data=wanted).text
    assert "upgrade" in shown
    assert "only sat-sun 02:00-04:00" in shown
    (silence,) = re.findall(r"/silences/(\w+)/expire", client.get("/alerts", headers=HTML).text)
    client.post(f"/silences/{silence}/expire", data=form(client, "/alerts"))
    assert "upgrade" not in client.get("/alerts", headers=HTML).text


def test_a_useless_page_leaves_word(client: httpx.Client, store: FilledStore) -> None:
    """The link in a notification opens a form whose answer goes to the audit trail."""
    page = "/alerts/a-loan-default/useless"
    client.post(page, data=form(client, page, note="known maintenance"))
    with store.database.read() as connection:
        entries = list(audit.export(connection))
    assert [entry["action"] for entry in entries] == ["alert.useless"]
    assert client.post("/alerts/none/useless", data=form(client, page, note="x")).status_code == 404


def test_acting_by_api(client: httpx.Client, store: FilledStore) -> None:
    """Programs with the scope do the same by JSON, under their token's name; mistakes are told."""
    client.headers.update(bearer(store.add_token("pager", "operate", "read")))
    assert client.post("/v1/alerts/b-loan-default/acknowledge", json={"note": "on it"}).status_code == 204
    (line,) = client.get("/v1/alerts", params={"state": "firing"}).json()
    assert (line["acknowledged"]["by"], line["acknowledged"]["note"]) == ("pager", "on it")
    assert client.post("/v1/alerts/a-loan-default/acknowledge", json={}).status_code == 409
    made = client.post("/v1/silences", json={"matchers": ["model=x"], "duration": "2h", "comment": "test"})
    assert client.delete(f"/v1/silences/{made.json()['id']}").status_code == 204
    assert client.delete("/v1/silences/none").status_code == 404
    assert client.post("/v1/retraining/r-loan-default/approve").status_code == 409
    assert client.post("/v1/retraining/r-loan-default", json={"status": "running"}).status_code == 204
    assert client.post("/v1/retraining/none", json={"status": "failed"}).status_code == 404
    assert client.post("/v1/retraining/r-loan-default", json={"status": "purple"}).status_code == 400
    vague = client.post("/v1/silences", json={"matchers": ["nonsense"], "duration": "2h", "comment": "test"})
    assert (vague.status_code, "not understood" in vague.json()["detail"]) == (400, True)
    loads = {"matchers": ["model=x"], "duration": "2d", "comment": "test", "start": "2026-03-02T00:00:00Z"}
    assert client.post("/v1/silences", json=loads | {"hours": "sun 02:00-04:00"}).status_code == 201
    assert client.post("/v1/silences", json=loads | {"hours": "at night"}).status_code == 400


def test_a_reader_cannot_act(client: httpx.Client, store: FilledStore) -> None:
    """The scope read opens no act, and its pages offer none."""
    text = store.add_token("ada", "read")
    assert (
        client.post("/v1/alerts/b-loan-default/acknowledge", headers=bearer(text), json={}).status_code == 403
    )
    login(client, text)
    assert "/acknowledge" not in client.get("/alerts", headers=HTML).text


def test_pages_of_other_sites_change_nothing(client: httpx.Client) -> None:
    """Even an open service refuses a change that a browser says came from elsewhere."""
    headers = {"Origin": "https://evil.example"}
    answer = client.post("/v1/alerts/b-loan-default/acknowledge", json={}, headers=headers)
    assert answer.status_code == 403
    data = form(client, "/alerts")
    assert client.post("/alerts/b-loan-default/acknowledge", data=data, headers=headers).status_code == 403
    assert client.post("/alerts/b-loan-default/acknowledge", data={"csrf": "0" * 64}).status_code == 403


def test_feedback_and_trust_by_api(client: httpx.Client, store: FilledStore) -> None:
    """A program judges a page and reads the model's precision; an alert that is not there is a 404."""
    client.headers.update(bearer(store.add_token("pager", "operate", "read")))
    said = {"verdict": "not harm", "note": "a sale"}
    assert client.post("/v1/alerts/a-loan-default/feedback", json=said).status_code == 204
    found = client.get("/v1/models/loan-default/trust").json()
    assert found["precision"]["useless"] == {"not harm": 1}
    assert found["share"] == 0.0
    assert client.post("/v1/alerts/none/feedback", json=said).status_code == 404
    assert client.post("/v1/alerts/a-loan-default/feedback", json={"verdict": "x"}).status_code == 422
    assert client.get("/v1/baselines/proposals").json() == []
    assert client.post("/v1/baselines/none/approve", json={}).status_code == 404
