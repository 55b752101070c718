"""Champion and challenger on the same stream; promotion, rollback, markers; the timeline of it all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mlhealth.alerts.mlflow_registry import MlflowRegistry
from mlhealth.alerts.rules import parse_rules
from mlhealth.api.app import create_app
from mlhealth.api.services import Services
from mlhealth.cli import app as command_line
from mlhealth.clock import DAY, HOUR, ManualClock, to_iso
from mlhealth.config.receivers import MlflowConfig
from mlhealth.errors import ConflictError, NotFoundError
from mlhealth.queries.reports import Queries
from mlhealth.queries.timeline import Span, as_data, as_markdown, timeline
from mlhealth.queries.versions import Versus, compare, versions
from mlhealth.sources.memory import MemoryLog, MemorySource
from mlhealth.store import audit, markers
from mlhealth.store.database import Database
from mlhealth.store.tokens import Tokens
from mlhealth.versions.comparison import (
    BETTER,
    SAME,
    WORSE,
    Answers,
    Side,
    compare_window,
    disagreement,
    histogram_rmse,
    jensen_shannon,
    summarise,
)  # fmt: skip
from mlhealth.versions.promotion import Hand, Promotion
from tests.alert_rules import window
from tests.servers.stream import START, Bench, headers, loan_baseline, loan_events, run
from tests.strict_mlflow import Mlflow, Registered
from tests.strict_receiver import receiver
from tests.web_server import served

RULES = "rules: [{alert: Any, when: rows > 0, severity: info}]"
KIM = Hand("kim", "the challenger did well")


def shadowed(event: bytes) -> bytes:
    """Return the event as the challenger answers it: it says 1 more often."""
    data = orjson.loads(event)
    score = min(data["y_score"] + 0.2, 1.0)
    return orjson.dumps(data | {"y_score": score, "y_pred": int(score >= 0.5)})


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A store after two hours in which version 2 answered every event beside version 1."""
    path = tmp_path_factory.mktemp("versions") / "mlhealth.db"
    opened = Database.open(f"sqlite:///{path}")
    bench = Bench(opened, loan_baseline(), rules=parse_rules(RULES))
    bench.prepare([loan_baseline(version="2")])
    log = MemoryLog("log")
    for event in loan_events(3_600):
        log.append(0, event, headers("loans", "1"))
        log.append(0, shadowed(event), headers("loans", "2"))
    source = MemorySource(log)
    worker = bench.worker(source)
    run(worker, source, bench.clock, turns=3)
    worker.close_windows()
    yield opened
    opened.close()


def test_versions_are_compared_on_common_windows(database: Database) -> None:
    """Estimates with a difference and its interval, the predictions' distance, and who answered differently."""
    found = compare(database, Versus("loans", "1", "2"))
    assert len(found.windows) >= 11
    assert found.metric == "accuracy"
    difference = found.metrics["accuracy"]
    assert difference.value is not None
    assert difference.lower is not None
    assert difference.upper is not None
    assert difference.lower < difference.value < difference.upper
    assert found.disagreement is not None
    assert found.disagreement.pairs == sum(w.rows[0] for w in found.windows)
    moved = [json.loads(e) for e in loan_events(3_600)]
    expected = np.mean([0.3 <= e["y_score"] < 0.5 for e in moved])
    assert found.disagreement.share == pytest.approx(expected, abs=0.01)
    assert all(w.predictions is not None and w.predictions > 0.05 for w in found.windows)


def test_a_version_compared_with_itself_is_the_same(database: Database) -> None:
    """No difference, no distance, no disagreement."""
    found = compare(database, Versus("loans", "1", "1"))
    assert found.verdict == SAME
    assert found.disagreement is not None
    assert found.disagreement.share == 0.0
    assert {w.predictions for w in found.windows} == {0.0}


def test_a_version_without_windows_is_told(database: Database) -> None:
    """The message names the version."""
    with pytest.raises(NotFoundError, match="version 9 of loans has no windows"):
        compare(database, Versus("loans", "1", "9"))


def test_promotion_and_rollback_move_champion_alias_and_history(database: Database) -> None:
    """Promoted by kim, rolled back by kim: the registry follows, markers and audit say who and why."""
    mlflow = Mlflow({"loans": Registered({"1": {}, "2": {}}, {"champion": "1"})})
    with receiver(mlflow.judge) as server:
        registry = MlflowRegistry(MlflowConfig.model_validate({"url": server.url}))
        acts = Promotion(database, registry, ManualClock(START + 2 * HOUR))
        acts.promote("loans", "1", KIM)
        assert acts.promote("loans", "2", KIM).endswith("promoted version 2, was 1")
        assert [line.version for line in versions(database, "loans") if line.is_champion] == ["2"]
        assert mlflow.models["loans"].aliases == {"champion": "2"}
        assert "rolled back from version 2 to 1" in acts.roll_back("loans", KIM)
        assert mlflow.models["loans"].aliases == {"champion": "1"}
        with pytest.raises(NotFoundError, match="no version 9; known are 1, 2"):
            acts.promote("loans", "9", KIM)
    with database.read() as connection:
        kinds = [m.kind for m in markers.between(connection, "loans", 0, START + DAY)]
        acted = [row["action"] for row in audit.export(connection)]
        assert audit.verify(connection).ok
    assert kinds == ["promote", "promote", "rollback"]
    assert acted[-3:] == ["version.promote", "version.promote", "version.rollback"]
    with pytest.raises(ConflictError, match="no champion before"):
        Promotion(database, None, ManualClock(START)).roll_back("fraud", KIM)


def test_the_timeline_tells_it_all_in_order(database: Database) -> None:
    """Windows, alerts, promotions and acts of the range, as JSON and as a page."""
    span = Span("loans", START, START + 3 * HOUR)
    entries = timeline(database, span)
    assert [e.at for e in entries] == sorted(e.at for e in entries)
    kinds = {entry.kind for entry in entries}
    assert {"window", "alert", "promote", "rollback", "action"} <= kinds
    data = orjson.loads(orjson.dumps(as_data(span, entries)))
    assert data["from"] == to_iso(START)
    assert sum(e["kind"] == "window" for e in data["entries"]) >= 22
    page = as_markdown(span, entries)
    assert "**alert** Any firing" in page
    assert 2 <= page.count("**window**") < 22
    assert timeline(database, Span("nobody", START, START + DAY)) == []


def test_the_command_line_does_the_same(database: Database, tmp_path: Path) -> None:
    """`versions list|compare|mark` and `timeline export` on the store of a configuration."""
    config = tmp_path / "mlhealth.yaml"
    config.write_text(f"store: {database.engine.url}\n")

    def ask(*words: str, fails: bool = False) -> str:
        done = CliRunner().invoke(command_line, [*words, "-c", str(config)])
        assert (done.exit_code != 0) is fails, done.output
        return str(done.exception) if fails else done.stdout

    assert "2  live" in ask("versions", "list", "loans")
    told = ask("versions", "compare", "loans", "1", "2")
    assert "answered differently" in told
    assert json.loads(ask("versions", "compare", "loans", "1", "2", "--format", "json"))["challenger"] == "2"
    moment = to_iso(START + HOUR)
    mark = ("versions", "mark", "loans", "2", "--note", "canary at 5 %", "--by", "kim", "--kind", "deploy")
    ask(*mark, "--at", moment)
    span = (
        "timeline",
        "export",
        "--model",
        "loans",
        "--from",
        to_iso(START),
        "--to",
        to_iso(START + 2 * HOUR),
    )
    deployed = [e for e in json.loads(ask(*span))["entries"] if e["kind"] == "deploy"]
    assert [(e["at"], e["text"]) for e in deployed] == [(moment, "canary at 5 % (kim)")]
    assert "| 2 | **deploy** canary at 5 % (kim) |" in ask(*span, "--format", "markdown")
    assert "write json or markdown" in ask(*span, "--format", "csv", fails=True)


def side(value: float, half: float) -> Side:
    """Return a window whose accuracy is estimated at value ± half."""
    report = window(0, "healthy")
    estimate = replace(report.estimates["accuracy"], value=value, lower=value - half, upper=value + half)
    return Side(replace(report, estimates={"accuracy": estimate}))


@pytest.mark.parametrize(("value", "verdict"), [(0.9, BETTER), (0.7, WORSE), (0.81, SAME)])
def test_the_verdict_needs_a_difference_beyond_the_errors(value: float, verdict: str) -> None:
    """A difference is one only where its interval leaves zero out; where less is better, the words swap."""
    windows = [compare_window(side(0.8, 0.02), side(value, 0.02))]
    assert summarise(("m", "1", "2"), windows, "accuracy", True).verdict == verdict
    swapped = {BETTER: WORSE, WORSE: BETTER, SAME: SAME}
    assert summarise(("m", "1", "2"), windows, "accuracy", False).verdict == swapped[verdict]


def test_numbers_disagree_by_their_mean_difference() -> None:
    """For a regressor: the mean absolute difference over the events that both answered."""
    a = Answers(np.array([1, 2, 3], np.uint64), np.array([1.0, 2.0, 3.0]))
    b = Answers(np.array([2, 3, 4], np.uint64), np.array([2.5, 3.5, 9.0]))
    found = disagreement(a, b)
    assert (found.pairs, found.mean, found.share) == (2, 0.5, None)
    assert disagreement(a, Answers(np.array([9], np.uint64), np.array([1.0]))).pairs == 0


counts = st.lists(st.integers(0, 1_000), min_size=3, max_size=3).filter(any)


@given(counts, counts)
def test_distances_of_predictions_are_distances(a: list[int], b: list[int]) -> None:
    """Zero for equal shares, symmetric, and the Jensen-Shannon distance at most one."""
    p, q = np.array(a, float), np.array(b, float)
    for distance in (jensen_shannon, histogram_rmse):
        assert distance(p, p) == 0.0
        assert distance(p, q) == pytest.approx(distance(q, p))
    assert jensen_shannon(p, q) <= 1.0 + 1e-12


def test_the_api_does_the_same(database: Database) -> None:
    """Comparison, promotion, rollback, markers and timeline over HTTP; acts carry the caller's name."""
    clock = ManualClock(START + 2 * HOUR)
    app = create_app(Services(queries=Queries(database), tokens=Tokens(database), clock=clock))
    with served(app) as address, httpx.Client(base_url=f"{address}/v1/models/loans") as client:
        found = client.get("/comparison", params={"champion": "1", "challenger": "2"}).json()
        assert found["disagreement"]["pairs"] > 3_000
        assert client.get("/comparison", params={"champion": "1", "challenger": "9"}).status_code == 404
        assert client.post("/versions/1/promote", json={"note": "calm"}).status_code == 200
        assert "champion" in client.post("/versions/2/promote", json={"note": "canary won"}).json()["text"]
        assert "again" in client.post("/rollback", json={"note": "it did not"}).json()["text"]
        assert {line["version"]: line["is_champion"] for line in client.get("/versions").json()} == {
            "1": True,
            "2": False,
        }
        made = client.post("/versions/2/markers", json={"kind": "deploy", "note": "to 5 %", "at": str(START)})
        assert (made.status_code, made.json()["at"]) == (201, START)
        assert client.post("/versions/2/markers", json={"kind": "crown", "note": "x"}).status_code == 422
        span = {"from": to_iso(START), "to": to_iso(START + 3 * HOUR)}
        told = client.get("/timeline", params=span).json()
        assert any(e["kind"] == "deploy" and "to 5 %" in e["text"] for e in told["entries"])
        assert client.get("/timeline").status_code == 400
        assert [m["kind"] for m in client.get("/markers", params=span).json()].count("rollback") >= 1
