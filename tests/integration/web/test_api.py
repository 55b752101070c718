"""What the service answers over HTTP."""

from __future__ import annotations

import re

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge

from mlhealth.api.app import create_app
from mlhealth.api.services import Services
from mlhealth.clock import HOUR, to_iso
from mlhealth.errors import StoreUnavailable
from mlhealth.records import WindowReport
from mlhealth.report_json import from_data
from tests.integration.web.client import HTML, VERSION, Reach
from tests.report_builder import START, Story, report
from tests.store_builder import FilledStore


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


def test_the_monitor_tells_whether_people_are_told(client: httpx.Client, store: FilledStore) -> None:
    """Each receiver has a line: what waits, what was delivered and when, what was given up."""
    store.add_notices("oncall", delivered=2, failed=1)
    store.add_notices("chat", pending=3)
    page = client.get("/monitor", headers=HTML).text
    lines = re.findall(r'<th scope="row"><bdi>(oncall|chat)</bdi></th>(.+?)</tr>', page)
    told = {name: re.findall(r">([^<>]+)<", f"<td>{cells}") for name, cells in lines}
    assert told == {"oncall": ["0", "2", "1", "1 h ago"], "chat": ["3", "0", "0", "never"]}
