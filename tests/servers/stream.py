"""A small model, its events and an in-process worker: what tests of the stream share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import sqlalchemy as sa

from mlhealth.alerts.rules import RuleSet, parse_rules
from mlhealth.baseline.record import Baseline
from mlhealth.clock import DAY, MINUTE, SECOND, ManualClock, to_iso
from mlhealth.config.service import Config
from mlhealth.fit import fit
from mlhealth.metrics import Metrics
from mlhealth.records import WindowReport
from mlhealth.report_json import from_data
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task
from mlhealth.sources.base import MODEL_HEADER, VERSION_HEADER, Source
from mlhealth.sources.memory import MemoryLog
from mlhealth.store import baselines, schema
from mlhealth.store.database import Database
from mlhealth.store.tables import counters, reports
from mlhealth.worker.closing import Closer, Idleness
from mlhealth.worker.intake import Intake
from mlhealth.worker.loop import Pace, Parts, Worker
from mlhealth.worker.models import Models

START = 20_000 * DAY
"""The event time at which events begin."""
WINDOW = 10 * MINUTE
HEADERS = ((MODEL_HEADER, b"loans"), (VERSION_HEADER, b"1"))
RULES = """
rules:
  - alert: Silent
    when: rows == 0
"""


def loan_schema(model: str = "loans", version: str = "1") -> ModelSchema:
    """Return a small binary model's schema, with a segment column."""
    features = (
        Feature("amount", FeatureType.NUMERIC, Storage.FLOAT),
        Feature("region", FeatureType.CATEGORICAL, Storage.STRING),
    )
    return ModelSchema(
        model, version, Task.BINARY, features, "y_pred", Storage.INTEGER, ("y_score",), ("0", "1"),
        label="y_true", timestamp="ts", id="event_id", segments=("region",),
    )  # fmt: skip


def loan_rows(rows: int, seed: int = 0) -> pa.Table:
    """Return labelled rows of the model."""
    rng = np.random.default_rng(seed)
    amount = rng.gamma(2.0, 1000.0, rows).round(2)
    score = (1 / (1 + np.exp(-(amount - 2000) / 900))).round(4)
    return pa.table(
        {
            "amount": amount,
            "region": rng.choice(["eu", "us", "asia"], rows, p=[0.5, 0.4, 0.1]).tolist(),
            "y_pred": (score >= 0.5).astype(np.int64),
            "y_score": score,
            "y_true": (rng.random(rows) < score).astype(np.int64),
        }
    )


def loan_baseline(model: str = "loans", version: str = "1") -> Baseline:
    """Return a baseline quick to fit and to evaluate."""
    return fit(loan_rows(1_000), loan_schema(model, version), methods=["cbpe"])


def loan_events(rows: int, *, seconds: float = 2.0, seed: int = 1, first: int = 0) -> list[bytes]:
    """Return events as JSON, one every `seconds` of event time."""
    table = loan_rows(rows, seed).drop_columns(["y_true"]).to_pylist()
    return [
        orjson.dumps(
            {"ts": to_iso(START + round((first + i) * seconds * SECOND)), "event_id": f"e{first + i}", **row}
        )
        for i, row in enumerate(table)
    ]


def small_config(**changes: object) -> Config:
    """Return a configuration whose windows suit `loan_events`."""
    block = {
        "window": "10m",
        "lateness": "10m",
        "disorder": "1s",
        "revise": "1m",
        "segments": ["region"],
        **changes,
    }
    return Config.model_validate({"models": {"default": block}})


@dataclass
class Bench:
    """A store with the baseline active, and workers made over it."""

    database: Database
    baseline: Baseline
    config: Config = field(default_factory=small_config)
    clock: ManualClock = field(default_factory=lambda: ManualClock(START + 30 * DAY))
    rules: RuleSet = field(default_factory=lambda: parse_rules(RULES))

    def prepare(self, extra: Iterable[Baseline] = ()) -> None:
        """Make the tables and activate the baselines."""
        schema.ensure(self.database)
        with self.database.begin() as connection:
            for baseline in (self.baseline, *extra):
                baselines.push(connection, baseline, 0)
                baselines.activate(connection, baseline.hash, 0)

    def worker(
        self, source: Source, name: str = "worker", fault: Callable[[str], None] = lambda _: None
    ) -> Worker:
        """Return a worker over `source`, not yet started."""
        models = Models(self.database, self.config)
        closer = Closer(
            self.database,
            models,
            lambda: self.rules,
            Idleness(lambda: source.ends(source.partitions()), 30 * SECOND),
        )
        parts = Parts(self.database, source, models, Intake(models), closer, self.clock, Metrics())
        return Worker(parts, name, Pace(checkpoint=1, poll_seconds=0.05), fault)


def run(worker: Worker, source: Source, clock: ManualClock, turns: int = 3) -> None:
    """Start a worker and let it do some rounds."""
    source.start(worker)
    for _ in range(turns):
        clock.advance(SECOND)
        worker.turn()


def headers(model: str, version: str) -> Sequence[tuple[str, bytes]]:
    """Return the headers that name a model version."""
    return ((MODEL_HEADER, model.encode()), (VERSION_HEADER, version.encode()))


def log_of(bench: Bench, events: Sequence[bytes], count: int = 2, topic: str = "t") -> MemoryLog:
    """Return a log that holds the events, spread over partitions."""
    log = MemoryLog(topic, count, bench.clock)
    for i, event in enumerate(events):
        log.append(i % count, event, HEADERS)
    return log


def rows(database: Database, query: sa.Select[Any]) -> Sequence[Any]:
    """Return the rows of a query."""
    with database.read() as connection:
        return connection.execute(query).all()


def latest(database: Database) -> dict[tuple[str, int], WindowReport]:
    """Return the latest report of each window and segment."""
    found = rows(database, sa.select(reports.c.report).where(reports.c.latest))
    told = [from_data(row.report) for row in found]
    return {(report.key.segment, report.key.start): report for report in told}


def counts(database: Database) -> dict[str, int]:
    """Return how many events met each outcome."""
    found = rows(
        database, sa.select(counters.c.outcome, sa.func.sum(counters.c.events)).group_by(counters.c.outcome)
    )
    return {row[0]: int(row[1]) for row in found if row[1]}


def same_verdicts(a: dict[tuple[str, int], WindowReport], b: dict[tuple[str, int], WindowReport]) -> None:
    """Assert that two sets of reports are equal, revision numbers aside."""
    assert a.keys() == b.keys()
    for key, report in a.items():
        other = b[key]
        assert (report.rows, report.estimates, report.health) == (other.rows, other.estimates, other.health)
        assert (report.drift, report.quality) == (other.drift, other.quality)
