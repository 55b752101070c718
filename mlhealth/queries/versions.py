"""Questions about a model's versions: how they compare, which is the champion, and what happened in a range of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.alerts.context import is_better_higher
from mlhealth.baseline.files import view_from_bytes
from mlhealth.errors import NotFoundError
from mlhealth.labels.kept_sample import KeptSample
from mlhealth.records import WindowReport
from mlhealth.report_json import from_data
from mlhealth.schema.model_schema import ModelSchema
from mlhealth.store import markers
from mlhealth.store.database import Database
from mlhealth.store.tables import baselines, model_versions, reports, window_profiles
from mlhealth.versions.comparison import (
    Answers,
    Comparison,
    Side,
    WindowComparison,
    compare_window,
    summarise,
)

FOREVER = 2**62


@dataclass(frozen=True)
class VersionLine:
    """One version's life: its state (expected, live, retired), and whether it is the champion."""

    version: str
    state: str
    is_champion: bool
    created: int


@dataclass(frozen=True)
class Versus:
    """Which two versions of a model are compared, over windows that start in [start, end).

    `closed_after`: only windows judged after then, wall time.
    """

    model: str
    champion: str
    challenger: str
    start: int = 0
    end: int = FOREVER
    limit: int = 100
    closed_after: int = -1


def versions(database: Database, model: str) -> list[VersionLine]:
    """Return the versions of a model, the oldest first; raises NotFoundError where it has none."""
    t = model_versions.c
    with database.read() as connection:
        rows = list(connection.execute(sa.select(model_versions).where(t.model == model).order_by(t.created)))
        champion = next(iter(markers.champions(connection, model)), None)
    if not rows:
        raise NotFoundError(f"the store knows no model {model!r}")
    return [VersionLine(r.version, r.state, r.version == champion, r.created) for r in rows]


def compare(database: Database, versus: Versus) -> Comparison:
    """Return two versions compared on the newest windows that both have; raises NotFoundError where one has none."""
    with database.read() as connection:
        starts = [_starts(connection, versus, name) for name in (versus.champion, versus.challenger)]
        common = sorted(starts[0] & starts[1])[-versus.limit :]
        ours, theirs = (
            _reports(connection, versus.model, name, common) for name in (versus.champion, versus.challenger)
        )
        schemas = _Schemas(connection)
        windows = [_window(connection, schemas, ours[start], theirs[start]) for start in common]
        metric = _metric(connection, versus, max(starts[0]))
    names = (versus.model, versus.champion, versus.challenger)
    return summarise(names, windows, metric, is_better_higher(metric))


class _Schemas:
    """Schemas of baselines, read once each."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[str, ModelSchema] = {}

    def of(self, name: str) -> ModelSchema:
        """Return the schema of a baseline by its hash."""
        if name not in self._known:
            blob = self._connection.execute(sa.select(baselines.c.blob).where(baselines.c.hash == name))
            self._known[name] = view_from_bytes(blob.scalar_one(), name).schema
        return self._known[name]


def _starts(connection: Connection, versus: Versus, version: str) -> set[int]:
    """Return the starts of a version's windows with rows; raises NotFoundError where there is none."""
    t = reports.c
    query = sa.select(t.start).where(
        t.model == versus.model, t.version == version, t.segment == "", t.latest, t.rows > 0,
        t.start >= versus.start, t.start < versus.end, t.created > versus.closed_after,
    )  # fmt: skip
    found = set(connection.execute(query).scalars())
    if not found:
        raise NotFoundError(f"version {version} of {versus.model} has no windows with rows in that time")
    return found


def _reports(
    connection: Connection, model: str, version: str, starts: Sequence[int]
) -> Mapping[int, WindowReport]:
    t = reports.c
    query = sa.select(t.start, t.report).where(
        t.model == model, t.version == version, t.segment == "", t.latest, t.start.in_(starts)
    )
    return {row.start: from_data(row.report) for row in connection.execute(query)}


def _metric(connection: Connection, versus: Versus, start: int) -> str:
    """Return the champion's primary metric in a window."""
    t = reports.c
    query = sa.select(t.metric).where(
        t.model == versus.model, t.version == versus.champion, t.segment == "", t.latest, t.start == start
    )
    return str(connection.execute(query).scalar_one())


def _window(
    connection: Connection, schemas: _Schemas, ours: WindowReport, theirs: WindowReport
) -> WindowComparison:
    sides = [Side(report, _answers(connection, schemas, report)) for report in (ours, theirs)]
    return compare_window(*sides)


def _answers(connection: Connection, schemas: _Schemas, report: WindowReport) -> Answers | None:
    """Return what a version answered in a window's kept sample; None where none was kept."""
    t, key = window_profiles.c, report.key
    query = sa.select(t.sample).where(
        t.model == key.model, t.version == key.version, t.segment == "", t.start == key.start,
        t.baseline == report.baseline,
    )  # fmt: skip
    blob = connection.execute(query).scalar()
    if blob is None:
        return None
    schema = schemas.of(report.baseline)
    kept = KeptSample.from_bytes(blob, schema)
    keys, first = np.unique(kept.keys, return_index=True)
    given = kept.rows().prediction[first]
    if not schema.is_classification:
        return Answers(keys, np.asarray(given, dtype=np.float64))
    return Answers(keys, np.asarray(schema.classes)[given.astype(np.int64)])
