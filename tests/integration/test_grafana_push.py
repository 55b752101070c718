"""What `mlhealth grafana push` does to a Grafana: against a strict fake of its HTTP API, and its published schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from typer.testing import CliRunner

from mlhealth.cli import app
from mlhealth.dashboards.grafana_alerting import PROMETHEUS_RULES, alert_rules, contact_point
from mlhealth.dashboards.grafana_push import Wanted, push
from mlhealth.errors import ConfigError, ConflictError
from tests.strict_grafana import EDITOR_TOKEN, TOKEN, StrictGrafana, strict_grafana

SCHEMA = Path(__file__).parents[3] / "shared" / "schemas" / "grafana-alerting.jsonschema.json"
ALL = Wanted(
    "http://prometheus:9090",
    "postgresql://grafana_reader@db:5432/mlhealth",
    "s3cret",
    "email=oncall@example.org",
)


@pytest.fixture
def grafana() -> Iterator[StrictGrafana]:
    """An empty Grafana."""
    with strict_grafana() as fake:
        yield fake


def outcomes(grafana: StrictGrafana, wanted: Wanted = ALL) -> dict[str, str]:
    """Return what became of each thing that was pushed."""
    return {thing.uid: thing.outcome for thing in push(grafana.url, TOKEN, wanted)}


def test_everything_is_made_once(grafana: StrictGrafana) -> None:
    """First created, then unchanged without a single write: folder, data sources, boards, rules, contact point."""
    first = outcomes(grafana)
    assert set(first.values()) == {"created"}
    assert (len(grafana.boards), len(grafana.sources), len(grafana.contacts)) == (4, 2, 1)
    assert len(grafana.rules) == 7
    writes = grafana.writes
    assert outcomes(grafana) == dict.fromkeys(first, "unchanged")
    assert grafana.writes == writes


CHANGES: dict[str, Callable[[StrictGrafana], Any]] = {
    "mlhealth-model": lambda g: g.boards["mlhealth-model"].update(title="mine"),
    "mlhealth-history": lambda g: g.sources["mlhealth-history"].update(url="replica:5432"),
    "mlhealth-down": lambda g: g.rules["mlhealth-down"].update({"for": "1h"}),
    "mlhealth-cannot-notify": lambda g: g.rules["mlhealth-cannot-notify"]["labels"].update(team="ml"),
    "mlhealth-contact": lambda g: g.contacts["mlhealth-contact"]["settings"].update(
        addresses="me@example.org"
    ),
}


@pytest.mark.parametrize("uid", CHANGES)
def test_what_a_person_changed_is_kept_until_told_otherwise(grafana: StrictGrafana, uid: str) -> None:
    """A board, data source, rule or contact point edited by hand stays; `--overwrite` brings ours back."""
    fresh = outcomes(grafana)
    CHANGES[uid](grafana)
    edited = json.dumps([grafana.boards, grafana.sources, grafana.rules, grafana.contacts])
    assert outcomes(grafana) == dict.fromkeys(fresh, "unchanged") | {uid: "kept"}
    assert json.dumps([grafana.boards, grafana.sources, grafana.rules, grafana.contacts]) == edited
    assert outcomes(grafana, replace(ALL, overwrite=True))[uid] == "updated"
    assert outcomes(grafana)[uid] == "unchanged"


def test_what_nobody_touched_follows_us(grafana: StrictGrafana) -> None:
    """A data source whose address we now give differently, and rules that now tell someone, are updated."""
    outcomes(grafana, Wanted("http://old:9090"))
    found = outcomes(grafana)
    assert found["mlhealth-prometheus"] == "updated"
    assert found["mlhealth-down"] == "updated"
    assert grafana.sources["mlhealth-prometheus"]["url"] == "http://prometheus:9090"
    assert grafana.rules["mlhealth-down"]["notification_settings"] == {"receiver": "mlhealth"}


def test_rules_and_contact_points_stay_open_to_people(grafana: StrictGrafana) -> None:
    """Nothing is marked as provisioned, which Grafana's pages would refuse to edit."""
    outcomes(grafana)
    made = [*grafana.rules.values(), *grafana.contacts.values()]
    assert not any("provenance" in thing for thing in made)


def test_secrets_are_sent_and_not_compared(grafana: StrictGrafana) -> None:
    """The password and the address of a chat are given to Grafana, which never tells them again."""
    slack = replace(ALL, contact="slack=https://hooks.example.org/T0")
    outcomes(grafana, slack)
    assert grafana.passwords == {"mlhealth-history": "s3cret"}
    assert grafana.contacts["mlhealth-contact"]["settings"] == {"url": "https://hooks.example.org/T0"}
    assert set(outcomes(grafana, slack).values()) == {"unchanged"}
    outcomes(grafana, replace(slack, password="new", overwrite=True))
    assert grafana.passwords == {"mlhealth-history": "new"}


def test_what_a_file_provisioned_is_left_alone(grafana: StrictGrafana) -> None:
    """A read-only data source is kept even with `--overwrite`, since Grafana would refuse."""
    outcomes(grafana)
    grafana.sources["mlhealth-prometheus"] |= {"readOnly": True, "url": "http://elsewhere:9090"}
    assert outcomes(grafana, replace(ALL, overwrite=True))["mlhealth-prometheus"] == "kept"


def test_rules_are_those_of_prometheus(grafana: StrictGrafana) -> None:
    """Every alert that ships for Prometheus is there with its expression and hold time, and one for mlhealth's own."""
    outcomes(grafana)
    groups = yaml.safe_load(PROMETHEUS_RULES.read_text())["groups"]
    shipped = {
        r["alert"]: (r["expr"], r.get("for", "0s")) for g in groups for r in g["rules"] if "alert" in r
    }
    made = {r["title"]: (r["data"][0]["model"]["expr"], r["for"]) for r in grafana.rules.values()}
    assert made.pop("MlhealthModelAlert")[0].startswith("max by (model, version, segment, rule, severity)")
    assert made == shipped
    behind = grafana.rules["mlhealth-falls-behind"]["annotations"]["summary"]
    assert "{{ humanize $values.A.Value }}" in behind


@pytest.mark.parametrize("kind", ["Rule", "ContactPoint"])
def test_rules_and_contact_points_are_valid_by_the_published_schema(kind: str) -> None:
    """Grafana's schema of its provisioning API finds no fault."""
    if not SCHEMA.is_file():
        pytest.skip("no ../shared/schemas beside this checkout")
    schema = json.loads(SCHEMA.read_text())
    validator = Draft7Validator(schema | {"$ref": f"#/definitions/{kind}"})
    made = alert_rules("uid", "mlhealth") if kind == "Rule" else [contact_point("email=a@example.org")]
    assert [error.message for thing in made for error in validator.iter_errors(thing)] == []


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Wanted(contact="email=a@example.org"), "--prometheus"),
        (Wanted("uid", contact="pigeon=north"), "kind=address"),
        (Wanted(history="mysql://db/x"), "postgresql://"),
    ],
)
def test_what_is_not_understood_is_told_before_anything_is_sent(
    grafana: StrictGrafana, wanted: Wanted, told: str
) -> None:
    """One line says what to write instead."""
    with pytest.raises(ConfigError, match=told):
        push(grafana.url, TOKEN, wanted)
    assert grafana.writes == 0


def test_a_token_that_may_not_is_told_in_one_line(grafana: StrictGrafana) -> None:
    """Grafana's refusal becomes an error that says what to check; an editor may push all but data sources."""
    for token in ("wrong", EDITOR_TOKEN):
        with pytest.raises(ConflictError, match="role Editor, or Admin"):
            push(grafana.url, token, ALL)
    assert {thing.outcome for thing in push(grafana.url, EDITOR_TOKEN)} <= {"created", "unchanged"}


def test_the_command_tells_what_became_of_each_thing(grafana: StrictGrafana) -> None:
    """`mlhealth grafana push` prints a line for everything it looked at."""
    asked = ["grafana", "push", grafana.url, "--token", TOKEN, "--prometheus", "http://prometheus:9090"]
    told = CliRunner().invoke(app, [*asked, "--contact", "webhook=https://example.org/hook"])
    assert told.exit_code == 0, told.output
    assert "folder mlhealth: created\n" in told.output
    assert "alert rule mlhealth-model-alert: created\n" in told.output
    assert "contact point mlhealth-contact: created\n" in told.output


def test_the_rules_can_be_exported_for_prometheus(tmp_path: Path) -> None:
    """`mlhealth prometheus export` writes the file that ships."""
    told = CliRunner().invoke(app, ["prometheus", "export", str(tmp_path / "rules")])
    assert told.exit_code == 0, told.output
    assert (tmp_path / "rules" / "mlhealth.yml").read_text() == PROMETHEUS_RULES.read_text()
