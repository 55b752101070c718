"""A store filled by hand with what a worker would have written, for tests of whatever reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from mlhealth import report_json
from mlhealth.baseline.files import to_bytes
from mlhealth.clock import HOUR, ManualClock
from mlhealth.queries.reports import Queries
from mlhealth.records import HealthStatus, WindowReport
from mlhealth.store import alert_tables as alert
from mlhealth.store import lifecycle, markers, tables
from mlhealth.store.database import Database
from mlhealth.store.schema import ensure
from mlhealth.store.tokens import TokenRequest, Tokens, parse_scopes
from tests import profile_builder
from tests.report_builder import START, Story, reports

NOW = START + 50 * HOUR


class FilledStore:
    """A SQLite store with every table, and verbs that write rows."""

    def __init__(self, place: Path | Database) -> None:
        self.database = place if isinstance(place, Database) else Database.open(f"sqlite:///{place}/store.db")
        ensure(self.database)
        self.queries = Queries(self.database)
        self.tokens = Tokens(self.database)
        self.clock = ManualClock(NOW)

    def add_version(self, model: str, version: str, state: str = "live") -> None:
        """Make a model version known."""
        self._insert(
            tables.model_versions, [{"model": model, "version": version, "state": state, "created": NOW}]
        )

    def add_story(self, story: Story) -> None:
        """Write the windows of a story."""
        self.add_version(story.model, story.version)
        self.add_reports(reports(story))

    def add_loans(self) -> None:
        """Write a whole model: baseline, windows with their profiles and segments, alerts and a retraining."""
        story = Story()
        made = profile_builder.baseline(story.model, story.version)
        blob = {"hash": made.hash, "blob": to_bytes(made), "summary": {"rows": 4000}, "created": made.created}
        named = {"model": story.model, "version": story.version}
        self.add_version(**named)
        self._insert(tables.baselines, [named | blob])
        active = {"baseline": made.hash, "effective_start": 0, "created": made.created}
        self._insert(tables.baseline_activations, [named | active])
        told = [replace(report, baseline=made.hash) for report in reports(story)]
        self.add_reports([*told, *(segment(report, "region=north") for report in told)])
        windows = {factor: profile_builder.window(made, income_factor=factor) for factor in (1.0, 100.0)}
        packed = {factor: (profile.rows, profile.to_bytes()) for factor, profile in windows.items()}
        self._insert(tables.window_profiles, [_profile(report, packed) for report in told])
        self.add_alerts(**named)
        self.add_retraining(**named)

    def add_reports(self, windows: Sequence[WindowReport]) -> None:
        """Write reports as the worker does."""
        self._insert(tables.reports, [_row(report) for report in windows])

    def add_alerts(self, model: str, version: str) -> None:
        """Write an alert that fired and resolved, and one that fires."""
        common = {"model": model, "version": version, "segment": "", "severity": "page"}
        fired, resolved, again = START + 29 * HOUR, START + 38 * HOUR, START + 45 * HOUR
        summary = {"summary": f"{model} answers 74.5 % right, was 88.2 %"}
        changes = [
            common
            | {"fingerprint": f"a-{model}", "rule": "PredictedAccuracyDrop", "state": "firing", "at": fired},
            common
            | {
                "fingerprint": f"a-{model}",
                "rule": "PredictedAccuracyDrop",
                "state": "resolved",
                "at": resolved,
            },
            common | {"fingerprint": f"b-{model}", "rule": "FeatureVanished", "state": "firing", "at": again},
        ]
        self._insert(
            alert.alert_transitions, [c | {"annotations": summary, "recorded": NOW} for c in changes]
        )
        for change, fired_at in ((changes[1], fired), (changes[2], again)):
            row = {k: v for k, v in change.items() if k != "at"} | {
                "since": change["at"],
                "fired_at": fired_at,
            }
            self._insert(alert.alerts, [row | {"labels": {}, "annotations": summary, "updated": NOW}])

    def add_retraining(self, model: str, version: str) -> None:
        """Write a retraining that succeeded and helped."""
        row = {
            "id": f"r-{model}",
            "model": model,
            "version": version,
            "rule": "PredictedAccuracyDrop",
            "reason": "estimated accuracy fell from 88.2 % to 74.5 % over 3 windows",
            "service": "gpu",
            "data_start": START,
            "data_end": START + 28 * HOUR,
            "evidence": {},
            "status": "succeeded",
            "created": START + 31 * HOUR,
            "job": "job-17",
            "new_version": "4",
            "verdict": "recovered",
            "recorded": NOW,
            "next_at": NOW,
        }
        self._insert(alert.retraining_requests, [row])

    def add_stream(self) -> None:
        """Write counters, a partition and two unusable events."""
        place = {"topic": "inference-log", "partition": 0}
        named = {"model": "loan-default", "version": "3"}
        outcomes = {"accepted": 96_412, "late": 12, "rejected": 2}
        self._insert(
            tables.counters, [place | named | {"outcome": o, "events": n} for o, n in outcomes.items()]
        )
        self._insert(
            tables.partitions, [place | {"next_offset": 96_426, "progressed": NOW - HOUR, "owner": "w"}]
        )
        self._insert(tables.watermarks, [place | named | {"event_time": START + 48 * HOUR, "seen": NOW}])
        bad = {"reason": "not JSON: unexpected character at byte 17", "created": NOW}
        self._insert(tables.rejections, [place | {"offset": n, "row": 0} | bad for n in (117, 4031)])

    def add_notices(self, receiver: str, **states: int) -> None:
        """Write how many notices of a receiver are in each state."""
        rows: list[dict[str, object]] = [
            {
                "key": f"{receiver}-{state}-{n}", "receiver": receiver, "fingerprint": "a", "kind": "firing",
                "notice": "{}", "state": state, "created": NOW, "next_at": NOW,
                "finished": NOW - HOUR if state == "delivered" else None,
            }
            for state, count in states.items()
            for n in range(count)
        ]  # fmt: skip
        self._insert(alert.outbox, rows)

    def close(self, end: int) -> None:
        """Note that every version's windows up to `end` are closed."""
        with self.database.begin() as connection:
            connection.execute(sa.update(tables.model_versions).values(closed_end=end))

    def mark(self, model: str, version: str, kind: str, note: str) -> None:
        """Leave a marker on a model's history, an hour after its first window."""
        with self.database.begin() as connection:
            marker = markers.Marker(model, version, kind, START + HOUR, note, "ana")
            markers.mark(connection, marker, self.clock.now())

    def set_state(self, model: str, version: str, state: str) -> None:
        """Move a version to `live` or `retired`."""
        with self.database.begin() as connection:
            lifecycle.set_state(connection, model, version, state)

    def forge_audit(self) -> None:
        """Change the first row of the audit trail behind its back."""
        with self.database.begin() as connection:
            connection.execute(sa.update(alert.audit).where(alert.audit.c.seq == 1).values(actor="nobody"))

    def add_token(self, name: str, *scopes: str, lifetime: int | None = None) -> str:
        """Make a token and return its text."""
        return self.tokens.create(TokenRequest(name, parse_scopes(scopes), lifetime), self.clock.now())[1]

    def _insert(self, table: sa.Table, rows: Sequence[dict[str, object]]) -> None:
        if rows:
            with self.database.begin() as connection:
                connection.execute(sa.insert(table), list(rows))


def segment(report: WindowReport, name: str) -> WindowReport:
    """Return a report as if it spoke of a segment with a third of the rows."""
    return replace(report, key=replace(report.key, segment=name), rows=report.rows // 3)


def _profile(report: WindowReport, packed: Mapping[float, tuple[int, bytes]]) -> dict[str, object]:
    key = {name: getattr(report.key, name) for name in ("model", "version", "segment", "start", "end")}
    rows, profile = packed[100.0 if report.health.status is HealthStatus.CRITICAL else 1.0]
    return key | {"baseline": report.baseline, "rows": rows, "profile": profile}


def _row(report: WindowReport) -> dict[str, object]:
    estimate = report.estimates.get(report.health.metric)
    numbers = {name: getattr(estimate, name, None) for name in ("value", "lower", "upper", "reference")}
    key = {name: getattr(report.key, name) for name in ("model", "version", "segment", "start", "end")}
    return (
        key
        | numbers
        | {
            "revision": report.revision,
            "baseline": report.baseline,
            "latest": True,
            "final": True,
            "rows": report.rows,
            "status": str(report.health.status),
            "score": report.health.score,
            "metric": report.health.metric,
            "report": report_json.to_data(report),
            "created": NOW,
        }
    )
