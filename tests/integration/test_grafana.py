"""The Grafana boards: valid by Grafana's schema, every query answered by a real server, pushed without harm."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft7Validator

from mlhealth.clock import HOUR, SECOND
from mlhealth.dashboards.grafana import documents, export, push
from mlhealth.errors import ConflictError
from mlhealth.metrics import Metrics
from mlhealth.store.database import Database
from tests.report_builder import START
from tests.store_builder import FilledStore
from tests.strict_grafana import TOKEN, strict_grafana

BOARDS = documents()
SCHEMA = Path(__file__).parents[3] / "shared" / "schemas" / "grafana-dashboard.jsonschema.json"
CHOSEN = {"model": "loan-default", "version": "3", "feature": "income"}


def targets(key: str) -> list[str]:
    """Return every query of all boards that has `key` (`expr` or `rawSql`)."""
    return [
        t[key] for board in BOARDS.values() for panel in board["panels"] for t in panel["targets"] if key in t
    ]


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


def test_every_expression_is_understood_by_a_real_prometheus(prometheus: Callable[[str], Any]) -> None:
    """PromQL with its variables filled in is evaluated without an error."""
    server = prometheus("global: {scrape_interval: 1s}\n")
    for expression in targets("expr"):
        filled = expression.replace("$__rate_interval", "5m")
        for name, value in CHOSEN.items():
            filled = filled.replace(f"${name}", value)
        answer = httpx.get(f"{server.url}/api/v1/query", params={"query": filled})
        assert answer.json()["status"] == "success", filled


def test_every_statement_returns_what_the_pages_show(postgres: str, request: pytest.FixtureRequest) -> None:
    """SQL with macros and variables filled in runs on a real PostgreSQL and gives the stored windows."""
    database = Database.open(postgres)
    request.addfinalizer(database.close)
    store = FilledStore(database)
    store.add_loans()
    last = store.queries.version("loan-default", "3").recent[-1]
    with store.database.read() as connection:
        for statement in targets("rawSql"):
            filled = statement.replace("$__unixEpochFrom()", str(START // SECOND))
            filled = filled.replace("$__unixEpochTo()", str((START + 48 * HOUR) // SECOND))
            for name, value in CHOSEN.items():
                filled = filled.replace(f"${{{name}:sqlstring}}", f"'{value}'")
            rows = connection.exec_driver_sql(filled).mappings().all()
            assert len(rows) == 46, filled
            if "estimate" in rows[-1]:
                assert rows[-1]["estimate"] == last.value


def test_boards_are_exported_as_they_ship(tmp_path: Path) -> None:
    """`mlhealth grafana export` writes exactly the files that are in dashboards/grafana."""
    shipped = Path(__file__).parents[2] / "dashboards" / "grafana"
    for path in export(tmp_path):
        assert (shipped / path.name).read_text() == path.read_text(), (
            "run `mlhealth grafana export dashboards/grafana`"
        )


def test_pushing_is_idempotent_and_keeps_what_a_person_changed() -> None:
    """First created, then unchanged; a board edited by hand stays until told otherwise."""
    with strict_grafana() as grafana:
        assert {p.outcome for p in push(grafana.url, TOKEN)} == {"created"}
        assert {p.outcome for p in push(grafana.url, TOKEN)} == {"unchanged"}
        edited = grafana.boards["mlhealth-model"]
        edited["title"] = "mine"
        outcomes = {p.uid: p.outcome for p in push(grafana.url, TOKEN)}
        assert outcomes.pop("mlhealth-model") == "kept"
        assert set(outcomes.values()) == {"unchanged"}
        assert grafana.boards["mlhealth-model"]["title"] == "mine"
        assert "updated" in {p.outcome for p in push(grafana.url, TOKEN, overwrite=True)}
        assert grafana.boards["mlhealth-model"]["title"] == "mlhealth / Model"


def test_a_wrong_token_is_told_in_one_line() -> None:
    """Grafana's refusal becomes an error that says what to check."""
    with strict_grafana() as grafana, pytest.raises(ConflictError, match="role Editor"):
        push(grafana.url, "wrong")
