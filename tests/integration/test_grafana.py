"""The Grafana boards: valid by Grafana's schema, and every query answered by a real server with what the pages show."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft7Validator
from prometheus_client import start_http_server

from mlhealth.clock import HOUR, SECOND
from mlhealth.dashboards.grafana import documents, export
from mlhealth.metrics import Metrics
from mlhealth.queries.alerts import Of
from mlhealth.queries.reports import Period
from mlhealth.records import WindowReport
from mlhealth.store.database import Database
from tests.report_builder import START
from tests.servers.process import free_port, wait_until
from tests.store_builder import FilledStore

BOARDS = documents()
SCHEMA = Path(__file__).parents[3] / "shared" / "schemas" / "grafana-dashboard.jsonschema.json"
CHOSEN = {"model": "loan-default", "version": "3", "feature": "income", "segment": "^$"}


def targets(key: str) -> list[str]:
    """Return every query of all panels that has `key` (`expr` or `rawSql`)."""
    return [
        t[key] for board in BOARDS.values() for panel in board["panels"] for t in panel["targets"] if key in t
    ]


def sql_of(title: str, segment: str = "All") -> str:
    """Return the statement of a panel or annotation as Grafana sends it, with its macros and variables filled in."""
    panels = [p for board in BOARDS.values() for p in board["panels"] if p["title"] == title]
    marks = [
        a for b in BOARDS.values() for a in b.get("annotations", {}).get("list", ()) if a["name"] == title
    ]
    found = [t["rawSql"] for p in panels for t in p["targets"] if "rawSql" in t]
    found += [a["target"]["rawSql"] for a in marks if "target" in a]
    filled = found[0].replace("$__unixEpochFrom()", str(START // SECOND))
    filled = filled.replace("$__unixEpochTo()", str((START + 48 * HOUR) // SECOND))
    for name, value in CHOSEN.items():
        filled = filled.replace(f"${{{name}:sqlstring}}", f"'{value}'")
    return str(filled.replace("${segment:text}", segment))


@pytest.mark.parametrize("uid", BOARDS)
def test_boards_are_valid_by_grafanas_own_schema(uid: str) -> None:
    """The published JSON schema finds no fault."""
    if not SCHEMA.is_file():
        pytest.skip("no ../shared/schemas beside this checkout")
    validator = Draft7Validator(json.loads(SCHEMA.read_text()))
    assert [error.message for error in validator.iter_errors(BOARDS[uid])] == []


@pytest.mark.parametrize("uid", BOARDS)
def test_every_panel_says_what_it_shows(uid: str) -> None:
    """Title, description, unit, data source by variable, targets, and an id of its own: what a linter asks for."""
    panels = BOARDS[uid]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] in {"${datasource}", "${history}"}
        assert panel["targets"]


def test_boards_are_linked_and_choose_what_they_show() -> None:
    """Each board leads to the others with its time range; those of a model choose all four."""
    for uid, board in BOARDS.items():
        (link,) = board["links"]
        assert (link["tags"], link["keepTime"], link["includeVars"]) == (["mlhealth"], True, True)
        assert "mlhealth" in board["tags"]
        names = {variable["name"] for variable in board["templating"]["list"]}
        wanted = {"datasource", "history", "model", "version", "segment"}
        assert names >= (wanted if uid in {"mlhealth-model", "mlhealth-feature"} else {"datasource"}), uid
    for uid in ("mlhealth-model", "mlhealth-feature"):
        marks = [mark["name"] for mark in BOARDS[uid]["annotations"]["list"]]
        assert marks == ["Alerts", "Deployments", "Retraining"]


def test_boards_ask_only_for_metrics_that_exist() -> None:
    """Each metric named in an expression is one that the service exports."""
    known = {s.name for family in Metrics().registry.collect() for s in family.samples} | {
        name
        for family in Metrics().registry.collect()
        for name in (family.name, f"{family.name}_total", f"{family.name}_bucket")
    }
    named = {name for expression in targets("expr") for name in re.findall(r"mlhealth_\w+", expression)}
    assert named
    assert named <= known


def filled_metrics() -> Metrics:
    """Return metrics as a worker leaves them: one model version with a segment, an alert, and a stream at work."""
    metrics = Metrics(firing=lambda: [("loan-default", "3", "", "PredictedAccuracyDrop", "page")])
    version = ("loan-default", "3")
    for segment, score in (("", 97.0), ("region=north", 11.0)):
        metrics.health_score.labels(*version, segment).set(score)
        metrics.window_rows.labels(*version, segment).set(2000)
        metrics.window_end.labels(*version, segment).set(1.7e9)
        metrics.drifted_features.labels(*version, segment).set(1)
        metrics.estimate.labels(*version, segment, "accuracy").set(0.88)
        metrics.realized.labels(*version, segment, "accuracy").set(0.87)
    metrics.drift_statistic.labels(*version, "income", "jensen_shannon").set(0.4)
    metrics.drift_threshold.labels(*version, "income", "jensen_shannon").set(0.1)
    metrics.records.labels(*version, "accepted").inc()
    metrics.late_records.labels(*version).inc()
    metrics.failures.labels("store").inc()
    metrics.notifications.labels("oncall", "delivered").inc()
    metrics.consumer_lag.labels("inference-log", "0").set(3)
    metrics.watermark_lag.labels(*version).set(3)
    metrics.buffered_bytes.set(0)
    metrics.window_close_seconds.observe(0.2)
    return metrics


@pytest.fixture
def live(prometheus: Callable[[str], Any]) -> Iterator[str]:
    """The address of a real Prometheus that has scraped such metrics twice."""
    metrics, port = filled_metrics(), free_port()
    exporter, thread = start_http_server(port, "127.0.0.1", registry=metrics.registry)
    scraped = f"{{job_name: mlhealth, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}"
    server = prometheus(f"global: {{scrape_interval: 1s}}\nscrape_configs: [{scraped}]\n")
    ask = f"{server.url}/api/v1/query"

    def twice() -> bool:
        found = httpx.get(ask, params={"query": "count_over_time(mlhealth_health_score[1m])"}).json()
        return any(float(one["value"][1]) >= 2 for one in found["data"]["result"])

    try:
        wait_until(twice, what="two scrapes", timeout=60)
        yield server.url
    finally:
        exporter.shutdown()
        exporter.server_close()
        thread.join(5)


def chosen(expression: str) -> str:
    """Return an expression with its variables filled in."""
    filled = expression.replace("$__rate_interval", "1m")
    for name, value in CHOSEN.items():
        filled = filled.replace(f"${name}", value)
    return filled


def test_every_expression_is_answered_by_a_real_prometheus(live: str) -> None:
    """Each PromQL expression of the boards finds series where a worker has exported its metrics."""
    for expression in targets("expr"):
        answer = httpx.get(f"{live}/api/v1/query", params={"query": chosen(expression)}).json()
        assert answer["status"] == "success", expression
        assert answer["data"]["result"], expression


def test_every_variable_finds_its_choices(live: str) -> None:
    """`label_values` of the boards' variables are answered with model, version, segment and feature."""
    variables = {
        v["name"]: v["query"]
        for b in BOARDS.values()
        for v in b["templating"]["list"]
        if v["type"] == "query"
    }
    found: dict[str, list[str]] = {}
    for name, query in variables.items():
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()  # type: ignore[union-attr]
        asked = {"match[]": chosen(selector)}
        found[name] = httpx.get(f"{live}/api/v1/label/{label}/values", params=asked).json()["data"]
    assert found == {
        "model": ["loan-default"],
        "version": ["3"],
        "segment": ["region=north"],
        "feature": ["income"],
    }


def test_a_segment_and_all_of_them_are_told_apart(live: str) -> None:
    """With "All" a board shows the window as a whole, with a segment its own score."""
    (expression,) = {e for e in targets("expr") if e.startswith("mlhealth_health_score{model") and "=~" in e}
    for segment, score in (("^$", "97"), ("region=north", "11")):
        asked = chosen(expression.replace("$segment", segment))
        (found,) = httpx.get(f"{live}/api/v1/query", params={"query": asked}).json()["data"]["result"]
        assert found["value"][1] == score


@pytest.fixture
def history(postgres: str) -> Iterator[FilledStore]:
    """A real PostgreSQL with a model's windows, segments, alerts, a retraining and a deployment."""
    database = Database.open(postgres)
    store = FilledStore(database)
    store.add_loans()
    store.mark("loan-default", "3", "deploy", "canary at 5 %")
    yield store
    database.close()


def answered(store: FilledStore, statement: str) -> list[Mapping[str, Any]]:
    """Return the rows of a statement."""
    with store.database.read() as connection:
        return [dict(row) for row in connection.exec_driver_sql(statement).mappings()]


def estimated(report: WindowReport) -> dict[str, float | None]:
    """Return what the model's page draws of a window's primary metric."""
    known = report.estimates["accuracy"]
    ends = {"estimate": known.value, "lower": known.lower, "upper": known.upper, "reference": known.reference}
    tolerance = None if known.reference is None else known.reference - report.health.tolerance
    return ends | {"tolerance": tolerance, "true": report.realized.get("accuracy")}


def drifted(report: WindowReport) -> dict[str, float | None]:
    """Return what the feature's page draws of its drift in a window."""
    return {"statistic": report.drift["income"].statistic, "threshold": report.drift["income"].threshold}


def faulty(report: WindowReport) -> dict[str, float | None]:
    """Return what the feature's page draws of its quality in a window."""
    told = report.quality["income"]
    return {"missing": told.missing, "unseen": told.unseen, "out_of_range": told.out_of_range}


PANELS: dict[str, Callable[[WindowReport], dict[str, float | None]]] = {
    "Estimated performance (history)": estimated,
    "Health score (history)": lambda report: {"score": report.health.score},
    "Drift of the feature (history)": drifted,
    "Quality of the feature (history)": faulty,
}


def test_every_statement_is_held_against_the_pages() -> None:
    """No panel asks the store for something that the next test does not check."""
    assert len(PANELS) == len(targets("rawSql"))


@pytest.mark.parametrize("segment", ["All", "region=north"])
def test_every_statement_returns_what_the_pages_show(history: FilledStore, segment: str) -> None:
    """On a real PostgreSQL each panel's rows equal, number for number, the reports that the pages are drawn from."""
    stored = history.queries.reports(
        "loan-default", "3", Period(), segment="" if segment == "All" else segment
    )
    for title, shown in PANELS.items():
        rows = answered(history, sql_of(title, segment))
        for row, report in zip(rows, stored, strict=True):
            told = {"time": report.key.start} | shown(report)
            assert {**row, "time": micros(row["time"])} == pytest.approx(told), title


def test_what_happened_is_marked_on_the_boards(history: FilledStore) -> None:
    """Alerts from firing to resolving, deployments and retraining stand at the moments that the pages tell."""
    episodes = history.queries.alerts.episodes(Of())
    alerts = answered(history, sql_of("Alerts"))
    told = {(a.fired_at, a.since if a.state == "resolved" else None) for a in episodes}
    assert {(micros(row["time"]), row["timeend"] and micros(row["timeend"])) for row in alerts} == told
    assert all("answers 74.5 % right" in row["text"] for row in alerts)
    (deployed,) = answered(history, sql_of("Deployments"))
    assert (micros(deployed["time"]), deployed["text"]) == (START + HOUR, "deploy 3: canary at 5 %")
    (asked,) = answered(history, sql_of("Retraining"))
    assert (micros(asked["time"]), asked["tags"]) == (START + 31 * HOUR, "gpu")
    assert asked["text"].startswith("retraining succeeded: estimated accuracy fell")


def micros(moment: datetime) -> int:
    """Return a time of PostgreSQL in microseconds."""
    return round(moment.timestamp() * SECOND)


def test_boards_are_exported_as_they_ship(tmp_path: Path) -> None:
    """`mlhealth grafana export` writes exactly the files that are in dashboards/grafana."""
    shipped = Path(__file__).parents[2] / "dashboards" / "grafana"
    for path in export(tmp_path):
        assert (shipped / path.name).read_text() == path.read_text(), (
            "run `mlhealth grafana export dashboards/grafana`"
        )
