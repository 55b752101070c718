"""The HTTP edge over a filled store: what it answers, whom it lets in, what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Gauge

from mlhealth.api.access import COOKIE, check_address
from mlhealth.api.app import create_app
from mlhealth.api.services import Services
from mlhealth.clock import HOUR, to_iso
from mlhealth.errors import AuthError, ConfigError, NotFoundError, StoreUnavailable
from mlhealth.records import WindowReport
from mlhealth.report_json import from_data
from mlhealth.store import audit
from tests.report_builder import START, Story, report
from tests.store_builder import FilledStore
from tests.web_server import application, served

VERSION = "/v1/models/loan-default/versions/3"
HTML = {"Accept": "text/html"}
Reach = Callable[..., httpx.Client]


@pytest.fixture
def store(tmp_path: Path) -> FilledStore:
    """A store with one model and its alerts."""
    filled = FilledStore(tmp_path)
    filled.add_loans()
    filled.add_stream()
    return filled


@pytest.fixture
def reach() -> Iterator[Reach]:
    """Serve an application on a real port and return a client of it, under the name it believes it was called by."""
    with ExitStack() as stack:

        def reached(app: FastAPI, name: str = "127.0.0.1") -> httpx.Client:
            address = stack.enter_context(served(app))
            client = httpx.Client(base_url=address, headers={"Host": name}, follow_redirects=True)
            return stack.enter_context(client)

        yield reached


@pytest.fixture
def client(store: FilledStore, reach: Reach) -> httpx.Client:
    """A browser on the same machine as the service."""
    return reach(application(store))


def bearer(text: str) -> dict[str, str]:
    """Return the header that shows a token."""
    return {"Authorization": f"Bearer {text}"}


def test_models_carry_their_latest_windows(client: httpx.Client) -> None:
    """The list names each version with its newest score and how many alerts fire."""
    (line,) = client.get("/v1/models").json()
    assert (line["model"], line["version"], line["firing"]) == ("loan-default", "3", 1)
    assert line["recent"][-1]["value"] == pytest.approx(0.88, abs=0.01)
    assert len(line["recent"]) == 46


def test_reports_come_back_whole(client: httpx.Client) -> None:
    """A report over HTTP is, number for number, the one that was stored."""
    told = client.get(f"{VERSION}/reports/{START + 30 * HOUR}").json()
    found: WindowReport = from_data(told)
    made = report(Story(), 30)
    assert found.estimates == made.estimates
    assert found.health == made.health
    assert found.drift == made.drift


def test_a_period_is_given_in_iso_or_microseconds(client: httpx.Client) -> None:
    """Both forms choose the same windows, half-open."""
    start, end = START + 4 * HOUR, START + 7 * HOUR
    by_iso = client.get(f"{VERSION}/windows", params={"from": to_iso(start), "to": to_iso(end)}).json()
    by_micros = client.get(f"{VERSION}/windows", params={"from": start, "to": end}).json()
    assert by_iso == by_micros
    assert [line["start"] for line in by_iso] == [START + n * HOUR for n in (4, 5, 6)]


def test_segments_are_asked_for_by_name(client: httpx.Client) -> None:
    """Without a segment the overall windows come, with one its own."""
    told = client.get(f"{VERSION}/reports", params={"segment": "region=north", "limit": 2}).json()
    assert [r["key"]["segment"] for r in told] == ["region=north"] * 2


def test_alerts_history_retraining_baselines_and_rejections(client: httpx.Client) -> None:
    """Everything the pages show can be had as JSON."""
    current = client.get("/v1/alerts", params={"state": "firing"}).json()
    assert [line["alert"]["rule"] for line in current] == ["FeatureVanished"]
    history = client.get("/v1/alerts/history").json()
    assert [(a["rule"], a["state"]) for a in history] == [
        ("FeatureVanished", "firing"),
        ("PredictedAccuracyDrop", "resolved"),
    ]
    assert history[1]["since"] - history[1]["fired_at"] == 9 * HOUR
    assert client.get("/v1/retraining").json()[0]["verdict"] == "recovered"
    assert client.get(f"{VERSION}/baselines").json()[0]["effective"] == [0]
    assert {line["offset"] for line in client.get("/v1/rejections").json()} == {117, 4031}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/none/versions/1", 404),
        (f"{VERSION}/reports/17", 404),
        (f"{VERSION}/reports/yesterday", 400),
        (f"{VERSION}/windows?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", 400),
        (f"{VERSION}/windows?limit=0", 422),
        ("/v1/nothing", 404),
    ],
)
def test_mistakes_are_answered_in_one_line(client: httpx.Client, path: str, status: int) -> None:
    """A wrong question gets its status and a sentence, never a traceback."""
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_metrics_are_those_of_the_registry_passed_in(store: FilledStore, reach: Reach) -> None:
    """`/metrics` shows the registry of the composition root."""
    registry = CollectorRegistry()
    Gauge("mlhealth_up", "Is it?", registry=registry).set(1)
    app = create_app(Services(queries=store.queries, tokens=store.tokens, registry=registry))
    answer = reach(app, "localhost").get("/metrics")
    assert "mlhealth_up 1.0" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


def test_readiness_names_what_is_missing(store: FilledStore, reach: Reach) -> None:
    """503 with a sentence per part; liveness does not depend on them."""
    app = create_app(
        Services(queries=store.queries, tokens=store.tokens, unready=lambda: ["kafka does not answer"])
    )
    client = reach(app)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["missing"]) == (503, ["kafka does not answer"])
    assert client.get("/healthz").json() == {"status": "ok"}


def test_a_store_that_does_not_answer_is_said_to(
    client: httpx.Client, store: FilledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage is 503 with Retry-After, as JSON and as a page, and `/readyz` names it."""

    def down(*_: object) -> None:
        raise StoreUnavailable("store sqlite: disk I/O error")

    monkeypatch.setattr(store.database, "read", down)
    answer = client.get("/v1/models")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "disk I/O error" in client.get("/", headers=HTML).text
    assert client.get("/readyz").json()["missing"] == ["store sqlite: disk I/O error"]


def test_every_answer_carries_the_security_headers(client: httpx.Client) -> None:
    """Pages, API, static files and errors alike forbid foreign scripts, frames and caching of contents."""
    for path in ("/", "/v1/models", "/static/style.css", "/nowhere", "/healthz"):
        headers = client.get(path).headers
        assert "script-src 'self';" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert ("immutable" if "static" in path and "css" in path else "no-store") in headers["cache-control"]


def test_no_page_holds_an_inline_script_or_a_foreign_address(client: httpx.Client) -> None:
    """Whatever a page runs or loads is one of this service's files."""
    for path in ("/", "/models/loan-default/versions/3", "/alerts", "/login", "/docs"):
        html = client.get(path, headers=HTML).text
        scripts = re.findall(r"<script([^>]*)>", html)
        assert scripts
        assert all("src=" in s or 'type="application/json"' in s for s in scripts)
        assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", html)
        assert not re.search(r"\son[a-z]+=", html)


def test_names_are_escaped_everywhere(client: httpx.Client, store: FilledStore) -> None:
    """A model called <script> is text in every page that names it, and in its figures' JSON."""
    name = "<script>alert(1)</script>"
    store.add_story(Story(model=name, version="</script>", features=("</script><b>",)))
    store.add_alerts(name, "</script>")
    for path in ("/", "/alerts", "/models/%3Cscript%3Ealert(1)%3C%2Fscript%3E/versions/%3C%2Fscript%3E"):
        html = client.get(path, headers=HTML).text
        assert "<script>alert" not in html
        assert "<b>" not in re.sub(r"<b>(\d+|[^<]*[%\d.unknow]*)</b>", "", html).replace("<b>Broken", "")


def test_figures_are_not_changed_by_static_files_that_do_not_exist(client: httpx.Client) -> None:
    """Only known files are served; nothing leads out of the folder."""
    for path in ("/static/nothing.js", "/static/../pages.py", "/static/%2e%2e/assets.py", "/static/"):
        assert client.get(path).status_code == 404


def test_plotly_is_served_packed_and_kept(client: httpx.Client) -> None:
    """The one large script comes compressed and with a tag, from the installed package."""
    answer = client.get("/static/plotly.min.js", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    again = client.get("/static/plotly.min.js", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_openapi_describes_every_route_and_the_reference_page_shows_them(client: httpx.Client) -> None:
    """Programs read openapi.json; people read /docs, which loads nothing from elsewhere."""
    told = client.get("/openapi.json").json()
    assert (
        f"{VERSION}/reports".replace("loan-default", "{model}").replace("3/", "{version}/") in told["paths"]
    )
    page = client.get("/docs", headers=HTML).text
    assert all(path.replace("{", "{") in page for path in told["paths"])


# who may come in


def test_loopback_is_open_until_the_first_token(client: httpx.Client, store: FilledStore) -> None:
    """On one's own machine nothing stands in the way; the first token closes the door behind it."""
    assert client.get("/v1/models").status_code == 200
    store.add_token("ci", "read")
    assert client.get("/v1/models").status_code == 401
    assert client.get("/healthz").status_code == 200


def test_an_open_service_answers_to_loopback_names_only(store: FilledStore, reach: Reach) -> None:
    """A foreign page that points its own name at this machine is turned away."""
    assert reach(application(store), "evil.example").get("/v1/models").status_code == 403


def test_an_address_that_others_reach_needs_a_token(store: FilledStore, reach: Reach) -> None:
    """Starting on 0.0.0.0 without a token is refused in one line; with one, everything asks for it."""
    with pytest.raises(ConfigError, match="mlhealth token create"):
        check_address("0.0.0.0", store.tokens, store.clock.now())
    check_address("127.0.0.1", store.tokens, store.clock.now())
    text = store.add_token("ci", "read")
    check_address("0.0.0.0", store.tokens, store.clock.now())
    client = reach(application(store, host="0.0.0.0"), "mlhealth.example")
    assert client.get("/v1/models").status_code == 401
    assert client.get("/metrics").status_code == 401
    assert client.get("/v1/models", headers=bearer(text)).status_code == 200


def test_wrong_ended_and_revoked_tokens_open_nothing(client: httpx.Client, store: FilledStore) -> None:
    """Each is 401, and says which it is only to who holds the right secret."""
    text = store.add_token("short", "read", lifetime=HOUR)
    identity = text.split("_")[1]
    for wrong in ("x", "mlh__", f"mlh_{identity}_guess", text[:-1], f"mlh__{identity}"):
        assert client.get("/v1/models", headers=bearer(wrong)).status_code == 401
    assert client.get("/v1/models", headers=bearer(text)).status_code == 200
    store.clock.advance(HOUR)
    assert "ended" in client.get("/v1/models", headers=bearer(text)).json()["detail"]
    other = store.add_token("other", "read")
    store.tokens.revoke(other.split("_")[1], store.clock.now())
    with pytest.raises(AuthError, match="ended"):
        store.tokens.verify(other, store.clock.now())
    with pytest.raises(NotFoundError):
        store.tokens.revoke("none", store.clock.now())


def test_a_token_without_the_scope_is_refused(client: httpx.Client, store: FilledStore) -> None:
    """A token for sending events cannot read."""
    answer = client.get("/v1/models", headers=bearer(store.add_token("producer", "ingest")))
    assert answer.status_code == 403
    assert "lacks the scope read" in answer.json()["detail"]


def test_tokens_are_kept_as_digests_only(store: FilledStore, tmp_path: Path) -> None:
    """The store's file never holds a token's secret."""
    secret = store.add_token("ci", "read").split("_", 2)[2]
    assert all(secret.encode() not in path.read_bytes() for path in tmp_path.iterdir())


def login(client: httpx.Client, token: str, following: str = "/") -> str:
    """Log in by the form; returns where it led."""
    page = client.get("/login", params={"next": following}, headers=HTML).text
    csrf = re.search(r'name="csrf" value="(\w+)"', page)
    assert csrf is not None
    form = {"token": token, "csrf": csrf[1], "next": following}
    answer = client.post("/login", data=form, follow_redirects=False)
    assert answer.status_code == 303
    return answer.headers["location"]


def test_login_gives_a_session_that_ends_with_its_token(client: httpx.Client, store: FilledStore) -> None:
    """A logged-in browser sees pages; once the token is revoked, it is asked again."""
    text = store.add_token("ada", "read")
    assert (
        client.get("/alerts?x=1", headers=HTML, follow_redirects=False).headers["location"]
        == "/login?next=%2Falerts%3Fx%3D1"
    )
    assert login(client, text, "/alerts?x=1") == "/alerts?x=1"
    assert client.get("/alerts", headers=HTML, follow_redirects=False).status_code == 200
    store.tokens.revoke(text.split("_")[1], store.clock.now())
    assert client.get("/alerts", headers=HTML, follow_redirects=False).status_code == 303


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_login_never_leads_elsewhere(client: httpx.Client, store: FilledStore, elsewhere: str) -> None:
    """`next` is a path of this service, or nothing."""
    assert login(client, store.add_token("ada", "read"), elsewhere) == "/"


def test_the_session_cookie_is_signed_and_out_of_reach_of_scripts(
    client: httpx.Client, store: FilledStore
) -> None:
    """HttpOnly, SameSite; a changed cookie is no session."""
    text = store.add_token("ada", "read")
    header = client.get("/login", headers=HTML).headers["set-cookie"].lower()
    assert "httponly" in header
    assert "samesite=lax" in header
    login(client, text)
    value = client.cookies[COOKIE]
    client.cookies.clear()
    client.cookies.set(COOKIE, value[:-2] + ("AA" if value[-2:] != "AA" else "BB"))
    assert client.get("/", headers=HTML, follow_redirects=False).status_code == 303


def test_forms_without_their_token_change_nothing(client: httpx.Client, store: FilledStore) -> None:
    """A form sent from elsewhere lacks the CSRF token, or has one of another session: 403."""
    text = store.add_token("ada", "read")
    login(client, text)
    for csrf in ("", "0" * 64):
        assert client.post("/logout", data={"csrf": csrf}).status_code in {403, 422}
    assert client.post("/login", data={"token": text, "csrf": "0" * 64}).status_code == 403
    assert client.get("/", headers=HTML, follow_redirects=False).status_code == 200


# acting


def form(client: httpx.Client, page: str, **fields: str) -> dict[str, str]:
    """Return a form's fields with the CSRF token of the page it stands on."""
    csrf = re.search(r'name="csrf" value="(\w+)"', client.get(page, headers=HTML).text)
    assert csrf is not None
    return {"csrf": csrf[1], **fields}


def test_acknowledging_and_silencing_by_form(client: httpx.Client) -> None:
    """On one's own machine the forms work without a login, and the pages show who did what."""
    sent = client.post("/alerts/b-loan-default/acknowledge", data=form(client, "/alerts"))
    assert "anyone on this machine" in sent.text
    wanted = form(
        client, "/silences/new", matchers='model="loan-default"\n', duration="4h", comment="upgrade"
    )
    assert "upgrade" in client.post("/silences", data=wanted).text
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
