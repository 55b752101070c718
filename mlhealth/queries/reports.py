"""What people ask of the store: the one place where API, pages, reports and boards read from.

Nothing here writes. Times are event times in microseconds; periods are half-open [start, end).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping, Select

from mlhealth.baseline.files import view_from_bytes
from mlhealth.baseline.record import BaselineView
from mlhealth.errors import NotFoundError
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.queries.alerts import AlertQueries, firing_by_version, within
from mlhealth.queries.labels import LabelQueries
from mlhealth.queries.stream import StreamQueries
from mlhealth.records import WindowReport
from mlhealth.report_json import from_data
from mlhealth.store.database import Database
from mlhealth.store.tables import (
    baseline_activations,
    baselines,
    model_versions,
    reports,
    window_profiles,
)

RECENT = 48
"""Windows of a model version that its line in the overview shows."""
_BRANCHES = 100
"""Branches of one UNION; SQLite allows 500."""


@dataclass(frozen=True)
class Period:
    """Windows that start in [start, end); None is open."""

    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class ReportLine:
    """The few numbers of a window that a list shows; the estimate is that of the primary metric."""

    start: int
    end: int
    revision: int
    rows: int
    status: str
    score: float | None
    metric: str
    value: float | None
    lower: float | None
    upper: float | None
    reference: float | None


@dataclass(frozen=True)
class VersionSummary:
    """A model version with its latest windows, oldest first, and how many of its alerts are firing."""

    model: str
    version: str
    state: str
    recent: tuple[ReportLine, ...]
    firing: int = 0

    @property
    def latest(self) -> ReportLine | None:
        """The newest window, or None before the first is judged."""
        return self.recent[-1] if self.recent else None


@dataclass(frozen=True)
class BaselineLine:
    """A baseline of a model version; `effective` are the event times from which it was made to speak."""

    hash: str
    model: str
    version: str
    created: int
    summary: Mapping[str, Any]
    effective: tuple[int, ...]


Name = str | sa.ColumnElement[str]
_LINE = tuple(reports.c[name] for name in ReportLine.__dataclass_fields__)


class Queries:
    """Questions to one store; those about alerts, labels and the stream are in `alerts`, `labels` and `stream`.

    `models`: lists hold models of these prefixes alone; none for all. What is asked of one model is answered whatever
    its name is: whoever asks has been let through to that model before.
    """

    def __init__(self, database: Database, models: tuple[str, ...] = ()) -> None:
        self.database = database
        self.models = models
        self.alerts = AlertQueries(database, models)
        self.labels = LabelQueries(database)
        self.stream = StreamQueries(database, models)
        self._view = lru_cache(maxsize=16)(self._load_view)

    def within(self, models: tuple[str, ...]) -> Queries:
        """Return the questions that someone may ask who may see models of these prefixes."""
        return Queries(self.database, models) if models else self

    def versions(self, model: str | None = None) -> tuple[VersionSummary, ...]:
        """Return every model version (of one model, or of all) with its latest windows, by name."""
        query = sa.select(model_versions).order_by(model_versions.c.model, model_versions.c.version)
        query = query.where(within(model_versions.c.model, self.models))
        if model is not None:
            query = query.where(model_versions.c.model == model)
        with self.database.read() as connection:
            known = _rows(connection, query)
            recent = _recent(connection, [(row["model"], row["version"]) for row in known])
            firing = firing_by_version(connection)
        return tuple(_summary(row, recent, firing) for row in known)

    def version(self, model: str, version: str) -> VersionSummary:
        """Return one model version; raises NotFoundError where it is not known."""
        table = model_versions
        with self.database.read() as connection:
            found = _rows(
                connection, sa.select(table).where(table.c.model == model, table.c.version == version)
            )
            if not found:
                raise NotFoundError(
                    f"model {model!r} version {version!r} is not known; `mlhealth models list` names all"
                )
            recent = _recent(connection, [(model, version)])
            return _summary(found[0], recent, firing_by_version(connection))

    def next_line(self, model: str, version: str, start: int) -> ReportLine | None:
        """Return the window that follows the one that starts at `start`, in short."""
        query = _reports_of(model, version, "", Period(start + 1)).with_only_columns(*_LINE)
        with self.database.read() as connection:
            found = _rows(connection, query.order_by(reports.c.start).limit(1))
        return ReportLine(**found[0]) if found else None

    def lines(
        self, model: str, version: str, period: Period, *, limit: int = 10_000
    ) -> tuple[ReportLine, ...]:
        """Return the newest windows of a period in short, oldest first."""
        query = _reports_of(model, version, "", period).with_only_columns(*_LINE)
        with self.database.read() as connection:
            newest = _rows(connection, query.order_by(reports.c.start.desc()).limit(limit))
        return tuple(ReportLine(**row) for row in reversed(newest))

    def reports(
        self, model: str, version: str, period: Period, *, segment: str = "", limit: int = 2_000
    ) -> tuple[WindowReport, ...]:
        """Return the latest revisions of the newest windows of a period, oldest first."""
        query = _reports_of(model, version, segment, period).with_only_columns(reports.c.report)
        with self.database.read() as connection:
            newest = connection.execute(query.order_by(reports.c.start.desc()).limit(limit)).scalars().all()
        return tuple(from_data(report) for report in reversed(newest))

    def reports_at(self, model: str, version: str, starts: Iterable[int]) -> tuple[WindowReport, ...]:
        """Return the latest revisions of the windows that start at `starts` and are there, oldest first."""
        query = _reports_of(model, version, "", Period()).with_only_columns(reports.c.report)
        query = query.where(reports.c.start.in_(list(starts))).order_by(reports.c.start)
        with self.database.read() as connection:
            return tuple(from_data(report) for report in connection.execute(query).scalars())

    def report(self, model: str, version: str, start: int, *, segment: str = "") -> WindowReport:
        """Return the latest revision of one window; raises NotFoundError where there is none."""
        query = _reports_of(model, version, segment, Period(start, start + 1)).with_only_columns(
            reports.c.report
        )
        with self.database.read() as connection:
            found = connection.execute(query).scalars().first()
        if found is None:
            raise NotFoundError(f"model {model!r} version {version!r} has no window that starts at {start}")
        return from_data(found)

    def first_reasons(self, windows: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str], str]:
        """Return the first reason of each of these windows (model, version, start) that has one."""
        if not windows:
            return {}
        t = reports.c
        named = sa.tuple_(t.model, t.version, t.segment, t.start)
        query = sa.select(t.model, t.version, t.report).where(
            t.latest, named.in_([(model, version, "", start) for model, version, start in windows])
        )
        with self.database.read() as connection:
            found = [(r.model, r.version, r.report["health"]["reasons"]) for r in connection.execute(query)]
        return {(model, version): told[0]["text"] for model, version, told in found if told}

    def segments(self, model: str, version: str, start: int) -> tuple[WindowReport, ...]:
        """Return the reports of a window's segments, worst score first, unknown last."""
        table = reports
        chosen = (
            table.c.model == model,
            table.c.version == version,
            table.c.segment != "",
            table.c.start == start,
        )
        order = (table.c.score.is_(None), table.c.score, table.c.segment)
        query = sa.select(table.c.report).where(*chosen, table.c.latest).order_by(*order)
        with self.database.read() as connection:
            return tuple(from_data(report) for report in connection.execute(query).scalars())

    def profiles(self, report: WindowReport) -> tuple[WindowProfile, WindowProfile] | None:
        """Return the profiles of a report's baseline and of its window, or None where they are not kept."""
        key, table = report.key, window_profiles
        chosen = (table.c.model == key.model, table.c.version == key.version, table.c.segment == key.segment)
        query = sa.select(table.c.profile).where(*chosen, table.c.start == key.start)
        with self.database.read() as connection:
            found = connection.execute(query).scalars().first()
        view = self._view(report.baseline)
        if found is None or view is None:
            return None
        return view.reference, WindowProfile.from_bytes(found, view.reference.layout).effective()

    def baseline_view(self, baseline: str) -> BaselineView | None:
        """Return what can be seen of a baseline by its hash, None where the store does not have it."""
        return self._view(baseline)

    def _load_view(self, baseline: str) -> BaselineView | None:
        with self.database.read() as connection:
            blob = connection.execute(
                sa.select(baselines.c.blob).where(baselines.c.hash == baseline)
            ).scalar()
        return None if blob is None else view_from_bytes(blob, baseline)

    def baselines(self, model: str, version: str) -> tuple[BaselineLine, ...]:
        """Return the baselines of a model version, newest first."""
        table, active = baselines, baseline_activations
        columns = [table.c[name] for name in ("hash", "model", "version", "created", "summary")]
        query = sa.select(*columns).where(table.c.model == model, table.c.version == version)
        starts = sa.select(active.c.baseline, active.c.effective_start).where(
            active.c.model == model, active.c.version == version
        )
        with self.database.read() as connection:
            found = _rows(connection, query.order_by(table.c.created.desc(), table.c.hash))
            activated = connection.execute(starts.order_by(active.c.effective_start)).all()
        return tuple(
            BaselineLine(**row, effective=tuple(s for h, s in activated if h == row["hash"])) for row in found
        )

    def ping(self) -> None:
        """Raise StoreUnavailable where the store does not answer."""
        with self.database.read() as connection:
            connection.execute(sa.select(sa.literal(1))).scalar()


def _rows(connection: Connection, query: Select[Any]) -> Sequence[RowMapping]:
    return connection.execute(query).mappings().all()


def _reports_of(model: Name, version: Name, segment: str, period: Period) -> Select[Any]:
    """Return the choice of latest revisions of a model version's windows in a period."""
    query = sa.select(reports).where(
        reports.c.model == model, reports.c.version == version, reports.c.segment == segment, reports.c.latest
    )
    if period.start is not None:
        query = query.where(reports.c.start >= period.start)
    return query if period.end is None else query.where(reports.c.start < period.end)


def _recent(
    connection: Connection, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], list[ReportLine]]:
    """Return the latest windows of each model version, oldest first, by one index walk each."""
    found: dict[tuple[str, str], list[ReportLine]] = {}
    for query in _recent_queries(connection, names):
        for model, version, *numbers in connection.execute(query):
            found.setdefault((model, version), []).append(ReportLine(*numbers))
    for lines in found.values():
        lines.sort(key=lambda line: line.start)
    return found


def _recent_queries(connection: Connection, names: Sequence[tuple[str, str]]) -> Iterator[Any]:
    """Yield what to ask: a lateral join where the database has it, else a union of a branch for each version."""
    if connection.dialect.name == "postgresql":
        known = model_versions.c
        newest = _newest(known.model, known.version).correlate(model_versions).lateral()
        query = sa.select(newest).select_from(model_versions.join(newest, sa.true()))
        if names:
            yield query.where(sa.tuple_(known.model, known.version).in_(names))
        return
    for at in range(0, len(names), _BRANCHES):
        branches = [_newest(model, version) for model, version in names[at : at + _BRANCHES]]
        yield sa.union_all(*(sa.select(branch.subquery()) for branch in branches))


def _newest(model: Name, version: Name) -> Select[Any]:
    query = _reports_of(model, version, "", Period()).with_only_columns(
        reports.c.model, reports.c.version, *_LINE
    )
    return query.order_by(reports.c.start.desc()).limit(RECENT)


def _summary(
    row: RowMapping,
    recent: Mapping[tuple[str, str], Sequence[ReportLine]],
    firing: Mapping[tuple[str, str], int],
) -> VersionSummary:
    name = (row["model"], row["version"])
    return VersionSummary(*name, row["state"], tuple(recent.get(name, ())), firing.get(name, 0))
