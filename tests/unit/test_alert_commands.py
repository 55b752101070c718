"""The commands around alerts, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from mlhealth.alerts.engine import step
from mlhealth.cli import app
from mlhealth.errors import ConfigError, NotFoundError
from mlhealth.store.alert_tables import record
from mlhealth.store.database import Database
from tests.alert_rules import DESIGN_RULE, design_rules, window

RUNNER = CliRunner()
TESTS = """
rules: [rules.yaml]
tests:
  - name: a fall pages
    windows: [{repeat: 2}, {health: {status: critical}}]
    expect:
      - {after: 2}
      - {after: 3, firing: [PredictedAccuracyDrop], retrain: {gpu: requested}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration and rules, which is the working directory."""
    (tmp_path / "mlhealth.yaml").write_text("store: sqlite:///m.db\nrules: [rules.yaml]\n")
    (tmp_path / "rules.yaml").write_text(DESIGN_RULE)
    (tmp_path / "tests.yaml").write_text(TESTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str, code: int = 0) -> str:
    """Run a command; return what it printed."""
    result = RUNNER.invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def test_rules_check_tells_each_rule(home: Path) -> None:
    """A correct file is listed rule by rule, and so are the shipped rules."""
    assert "PredictedAccuracyDrop (page)" in run("rules", "check", "rules.yaml")
    assert "5 rules are correct" in run("rules", "check")


def test_rules_check_knows_the_configuration(home: Path) -> None:
    """With a configuration, a receiver that is not there is told with file and line."""
    with pytest.raises(ConfigError, match=r"rules\.yaml:8: .*there is no receiver oncall"):
        run("rules", "check", "-c", "mlhealth.yaml")


def test_rules_test_passes_and_fails(home: Path) -> None:
    """Expectations that are met exit with 0, others with 1 and one line each."""
    assert "1 of 1 tests passed" in run("rules", "test", "tests.yaml")
    (home / "tests.yaml").write_text(
        TESTS.replace("{after: 2}", "{after: 2, pending: [PredictedAccuracyDrop]}")
    )
    told = run("rules", "test", "tests.yaml", code=1)
    assert "a fall pages: after window 2: pending: expected PredictedAccuracyDrop, got none" in told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("after: 3", "after: 9", "there are 3 windows"),
        ("repeat", "repaet", r"tests\.yaml:5: .*unknown key; did you mean repeat"),
        ("critical", "sick", r"tests\.yaml:5: .*health\.status"),
        ("rules.yaml", "none.yaml", "none.yaml: cannot be read"),
    ],
)
def test_a_wrong_test_file_is_one_line(home: Path, old: str, new: str, told: str) -> None:
    """Mistakes in a file of tests are told as mistakes, not as failures."""
    (home / "tests.yaml").write_text(TESTS.replace(old, new))
    with pytest.raises(ConfigError, match=told):
        run("rules", "test", "tests.yaml")


def test_rules_schema_is_a_schema(home: Path) -> None:
    """What is printed for editors is valid JSON Schema."""
    jsonschema.Draft202012Validator.check_schema(json.loads(run("rules", "schema")))


def test_a_silence_is_added_listed_and_ended(home: Path) -> None:
    """A silence lives from add to expire, and both are in the audit trail."""
    name = run("silence", "add", 'model="m"', "--for", "2h", "--comment", "why", "--by", "kim").split()[0]
    assert 'model="m"  why' in run("silence", "list")
    run("silence", "expire", name, "--by", "kim")
    assert "nothing is silenced" in run("silence", "list")
    assert run("audit", "verify").startswith("2 rows")
    actions = [json.loads(line)["action"] for line in run("audit", "export").splitlines()]
    assert actions == ["silence.add", "silence.expire"]


def test_a_maintenance_window_comes_again(home: Path) -> None:
    """`--start` and `--hours` are listed; hours that are none are told."""
    words = ("silence", "add", 'model="m"', "--for", "365d", "--comment", "weekly load", "--by", "kim")
    run(*words, "--start", "2026-01-01", "--hours", "sun 02:00-04:00 Europe/Berlin")
    told = run("silence", "list")
    assert "2026-01-01T00:00:00Z  2027-01-01T00:00:00Z  sun 02:00-04:00 Europe/Berlin  kim" in told
    with pytest.raises(ConfigError, match="there is no day som"):
        run(*words, "--hours", "som 02:00-04:00")


def test_an_alert_is_acknowledged(home: Path) -> None:
    """Only an alert that is there can be taken; who took it is in the audit trail."""
    with pytest.raises(NotFoundError, match="there is no alert f1"):
        run("alert", "acknowledge", "f1", "--by", "kim")
    database = Database.open(f"sqlite:///{home}/m.db")
    with database.begin() as connection:
        record(connection, step(design_rules(), window(0)), 0)
    database.close()
    name = run("alert", "list").split()[0]
    assert run("alert", "acknowledge", name, "--by", "kim", "--note", "on it") == f"kim has taken {name}\n"
    assert json.loads(run("audit", "export").splitlines()[-1])["action"] == "alert.acknowledge"


@pytest.mark.parametrize("matcher", ["model", 'model=~"("', 'model=~".*"', "=x"])
def test_a_senseless_silence_is_refused(home: Path, matcher: str) -> None:
    """A matcher that cannot be read, or would silence everything, is told in one line."""
    with pytest.raises(ConfigError):
        run("silence", "add", matcher, "--for", "2h", "--comment", "why", "--by", "kim")


def test_retraining_requests_are_listed_and_unknown_ones_told(home: Path) -> None:
    """An empty store says so; an id that is not there is told."""
    assert "no retraining was asked for" in run("retraining", "list")
    with pytest.raises(NotFoundError):
        run("retraining", "approve", "nothing", "--by", "kim")
