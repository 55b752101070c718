"""Feedback on pages and refreshed baselines, in the store, from the command line and over HTTP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mlhealth.baseline.record import Baseline
from mlhealth.clock import DAY, HOUR, to_iso
from mlhealth.errors import ConflictError, NotFoundError
from mlhealth.feedback import Verdict
from mlhealth.fit import fit
from mlhealth.records import Alert, AlertState
from mlhealth.store import audit, baselines, feedback, proposals, schema
from mlhealth.store.alert_tables import record_transitions
from mlhealth.store.database import Database
from mlhealth.versions.baselines import compare_baselines
from tests.servers.stream import START, loan_rows, loan_schema

NOW = START + 30 * DAY


def refreshed(seed: int, rows: int = 1_200, *, wrong: float = 0.0) -> pa.Table:
    """Return labelled rows with event times; a share of labels is turned round."""
    table = loan_rows(rows, seed)
    truth = np.asarray(table.column("y_true"))
    turned = np.random.default_rng(seed).random(rows) < wrong
    times = [to_iso(START + i * HOUR // 4) for i in range(rows)]
    table = table.set_column(
        table.column_names.index("y_true"), "y_true", pa.array(np.where(turned, 1 - truth, truth))
    )
    return table.append_column("ts", pa.array(times)).append_column(
        "event_id", pa.array([f"e{i}" for i in range(rows)])
    )


@pytest.fixture(scope="module")
def fitted() -> tuple[Baseline, Baseline]:
    """A baseline and a newer one, of a model that does worse by now."""
    pair = [fit(refreshed(s, wrong=w), loan_schema(), methods=["cbpe"]) for s, w in ((1, 0.0), (2, 0.1))]
    return pair[0], pair[1]


@pytest.fixture
def database(tmp_path: Path, fitted: tuple[Baseline, Baseline]) -> Database:
    """A store in which both lie, and the first is active."""
    opened = Database.open(f"sqlite:///{tmp_path}/store.db")
    schema.ensure(opened)
    with opened.begin() as connection:
        for baseline in fitted:
            baselines.push(connection, baseline, NOW)
        baselines.activate(connection, fitted[0].hash, NOW)
    (tmp_path / "mlhealth.yaml").write_text(f"store: sqlite:///{tmp_path}/store.db\n")
    return opened


def fire(database: Database, state: AlertState, at: int) -> None:
    """Let the alert of the model change its state."""
    alert = Alert("Harm", "loans", "1", "", state, "page", at, at, {}, {}, "abc")
    with database.begin() as connection:
        record_transitions(connection, [alert], NOW)


def test_feedback_counts_the_last_word_on_each_page(database: Database) -> None:
    """Two pages of one alert are judged apart, a second word on a page replaces the first, all is in the audit."""
    fire(database, AlertState.FIRING, START)
    with database.begin() as connection:
        feedback.judge(connection, "abc", Verdict.USEFUL, ("ann", ""), NOW)
        feedback.judge(connection, "abc", Verdict.NOT_HARM, ("ann", "a sale"), NOW)
    fire(database, AlertState.RESOLVED, START + HOUR)
    fire(database, AlertState.FIRING, START + DAY)
    with database.begin() as connection:
        feedback.judge(connection, "abc", Verdict.NOT_HARM, ("bob", ""), NOW)
        found, suggested = feedback.trust(connection, "loans")
        actions = [entry["action"] for entry in audit.export(connection)]
    assert (found.pages, found.judged, found.share) == (2, 2, 0.0)
    assert found.useless == {"not harm": 2}
    assert any("tolerance" in s.change for s in suggested)
    assert [a for a in actions if a.startswith("alert")] == ["alert.useful", "alert.useless", "alert.useless"]


def test_an_alert_that_never_fired_cannot_be_judged(database: Database) -> None:
    """Feedback needs a page: unknown alerts, and those that only ever were pending, are refused."""
    with database.begin() as connection, pytest.raises(NotFoundError, match="there is no alert"):
        feedback.judge(connection, "abc", Verdict.KNOWN, ("ann", ""), NOW)
    fire(database, AlertState.PENDING, START)
    with database.begin() as connection, pytest.raises(ConflictError, match="has never fired"):
        feedback.judge(connection, "abc", Verdict.KNOWN, ("ann", ""), NOW)


def test_a_refreshed_baseline_is_compared_and_approved(
    database: Database, fitted: tuple[Baseline, Baseline]
) -> None:
    """A proposal changes nothing until a person approves it; the comparison warns of a loss made normal."""
    comparison = compare_baselines(*fitted)
    assert comparison.metrics[0].after is not None
    assert comparison.metrics[0].before is not None
    assert comparison.metrics[0].after < comparison.metrics[0].before
    assert any("makes that loss normal" in warning for warning in comparison.warnings)
    with database.begin() as connection:
        proposals.propose(connection, comparison, ("ann", "spring"), NOW)
        assert proposals.active_hash(connection, "loans", "1") == fitted[0].hash
        proposals.approve(connection, fitted[1].hash[:10], "bob", NOW, window=HOUR)
        assert proposals.active_hash(connection, "loans", "1") == fitted[1].hash
        (decided,) = proposals.proposals(connection)
        assert (decided.state, decided.decided_by) == ("approved", "bob")
        with pytest.raises(ConflictError, match="was approved already"):
            proposals.reject(connection, fitted[1].hash, "ann", "no", NOW)


def test_no_baseline_from_or_in_an_incident(database: Database, fitted: tuple[Baseline, Baseline]) -> None:
    """Rows that reach into an incident are refused, and nothing is approved while one is open."""
    fire(database, AlertState.FIRING, START + DAY)
    with database.begin() as connection:
        with pytest.raises(ConflictError, match="reach into an incident"):
            proposals.refuse_bad_times(connection, "loans", "1", (START, START + 2 * DAY))
        proposals.refuse_bad_times(connection, "loans", "1", (START, START + HOUR))
        proposals.propose(connection, compare_baselines(*fitted), ("ann", ""), NOW)
    with database.begin() as connection, pytest.raises(ConflictError, match="not changed in an incident"):
        proposals.approve(connection, fitted[1].hash, "bob", NOW, window=HOUR)


def test_trust_from_the_command_line(database: Database, tmp_path: Path) -> None:
    """A page is judged, precision and suggestions are printed, a baseline proposed, compared and approved."""
    from mlhealth.cli import app

    fire(database, AlertState.FIRING, START - DAY)
    fire(database, AlertState.RESOLVED, START - HOUR)
    pq.write_table(refreshed(3), tmp_path / "rows.parquet")
    config = ["--config", str(tmp_path / "mlhealth.yaml")]

    def run(*words: str) -> str:
        found = CliRunner().invoke(app, [*words, *config], catch_exceptions=False, env={"USER": "ann"})
        assert found.exit_code == 0, found.output
        return found.output

    assert "abc" in run("alert", "list")
    assert "1 pages, 1 judged, 0% of those judged were useful" in run("alert", "feedback", "abc", "not-harm")
    assert "1 not harm" in run("alert", "precision")
    assert "0% of 1 judged were useful" in run("alert", "suggest", "--model", "loans")
    told = run(
        "baseline", "propose", str(tmp_path / "rows.parquet"), "--model", "loans", "--reason", "newer rows"
    )
    name = told.strip().split(" ")[-1]
    assert "newer rows" in run("baseline", "proposals")
    with database.read() as connection:
        active = proposals.active_hash(connection, "loans", "1")
    assert "accuracy" in run("baseline", "compare", str(active)[:12], name)
    assert "speaks for loans version 1" in run("baseline", "approve", name)
