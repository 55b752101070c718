"""What closing windows reads and writes: a snapshot of progress, partial profiles, and a window's whole outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.events.messages import Partition
from mlhealth.records import WindowKey, WindowReport
from mlhealth.report_json import from_data, to_data
from mlhealth.store.checkpoints import Seen
from mlhealth.store.database import Database, upsert
from mlhealth.store.tables import (
    IS_OPEN,
    counters,
    model_versions,
    partials,
    partitions,
    reports,
    watermarks,
    window_profiles,
    window_states,
)
from mlhealth.window_plan import Open, Told

ModelVersion = tuple[str, str]


@dataclass(frozen=True)
class Standing:
    """How far a model version has come: its lifecycle, where its windows stand, and how far each partition is."""

    state: str
    windows: Open
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """All model versions at one moment, and the stored offset of each partition with when it last moved."""

    models: Mapping[ModelVersion, Standing]
    offsets: Mapping[Partition, tuple[int, int]]


def snapshot(database: Database) -> Snapshot:
    """Return how far everything has come, as of one moment."""
    with database.read() as connection:
        offsets = {
            Partition(r.topic, r.partition): (r.next_offset, r.progressed)
            for r in connection.execute(sa.select(partitions))
        }
        seen, panes, told = _seen(connection), _panes(connection), _told(connection)
        models = {
            (r.model, r.version): Standing(
                r.state,
                Open(
                    panes.get((r.model, r.version), {}),
                    tuple(told.get((r.model, r.version), ())),
                    r.closed_end,
                    r.final_end,
                    max((s.event_time for s in seen.get((r.model, r.version), ())), default=None),
                ),
                tuple(seen.get((r.model, r.version), ())),
            )
            for r in connection.execute(sa.select(model_versions))
        }
    return Snapshot(models, offsets)


def _seen(connection: Connection) -> dict[ModelVersion, list[Seen]]:
    out: dict[ModelVersion, list[Seen]] = {}
    for r in connection.execute(sa.select(watermarks)):
        mark = Seen(r.model, r.version, Partition(r.topic, r.partition), r.event_time, r.seen)
        out.setdefault((r.model, r.version), []).append(mark)
    return out


def _panes(connection: Connection) -> dict[ModelVersion, dict[int, int]]:
    """Return the rows of each pane that has partials, by its start."""
    t = partials.c
    query = (
        sa.select(t.model, t.version, t.start, sa.func.sum(t.rows))
        .where(t.segment == "")
        .group_by(t.model, t.version, t.start)
    )
    out: dict[ModelVersion, dict[int, int]] = {}
    for model, version, start, rows in connection.execute(query):
        out.setdefault((model, version), {})[start] = int(rows)
    return out


def _told(connection: Connection) -> dict[ModelVersion, list[Told]]:
    """Return the windows that have a report and may still be revised by late rows."""
    t = reports.c
    query = (
        sa.select(t.model, t.version, t.start, t.end, sa.func.sum(t.rows), sa.func.max(t.created))
        .where(t.segment == "", IS_OPEN)
        .group_by(t.model, t.version, t.start, t.end)
    )
    out: dict[ModelVersion, list[Told]] = {}
    for model, version, start, end, rows, at in connection.execute(query):
        out.setdefault((model, version), []).append(Told(start, end, int(rows), at))
    return out


@dataclass(frozen=True)
class Part:
    """One stored partial profile of a window."""

    segment: str
    baseline: str
    rows: int
    profile: bytes


def parts(connection: Connection, name: ModelVersion, start: int, end: int) -> list[Part]:
    """Return the partials of a window's panes in the order in which they are merged, the same on every worker."""
    t = partials.c
    query = (
        sa.select(t.segment, t.baseline, t.rows, t.profile)
        .where(t.model == name[0], t.version == name[1], t.start >= start, t.start < end)
        .order_by(t.segment, t.baseline, t.start, t.topic, t.partition)
    )
    return [Part(r.segment, r.baseline, r.rows, r.profile) for r in connection.execute(query)]


def state_before(connection: Connection, name: ModelVersion, end: int) -> object | None:
    """Return the state before the window that ends at `end`: after the one that ended last; None before the first."""
    t = window_states.c
    where = (t.model == name[0], t.version == name[1], t.start < end)
    return connection.execute(sa.select(t.state).where(*where).order_by(t.start.desc()).limit(1)).scalar()


def state_after(connection: Connection, name: ModelVersion, end: int) -> object | None:
    """Return the state after the window that ends at `end`; None where none is kept."""
    t = window_states.c
    where = (t.model == name[0], t.version == name[1], t.start == end)
    return connection.execute(sa.select(t.state).where(*where)).scalar()


def unused_events(connection: Connection, name: ModelVersion) -> tuple[int, int]:
    """Return how many events of a model version were rejected, and how many came too late, until now."""
    t = counters.c
    where = (t.model == name[0], t.version == name[1], t.outcome.in_(("rejected", "late")))
    query = sa.select(t.outcome, sa.func.sum(t.events)).where(*where).group_by(t.outcome)
    found: dict[str, int] = {row[0]: int(row[1]) for row in connection.execute(query)}
    return found.get("rejected", 0), found.get("late", 0)


def latest_reports(connection: Connection, name: ModelVersion, after: int) -> list[WindowReport]:
    """Return the latest reports of windows that start after `after`, in order of time."""
    t = reports.c
    query = (
        sa.select(t.report)
        .where(t.model == name[0], t.version == name[1], t.start > after, t.latest)
        .order_by(t.start, t.segment)
    )
    return [from_data(r.report) for r in connection.execute(query)]


def next_revision(connection: Connection, name: ModelVersion, start: int) -> int:
    """Return the number of the next report of a window, from 0."""
    t = reports.c
    where = (t.model == name[0], t.version == name[1], t.start == start)
    latest = connection.execute(sa.select(sa.func.max(t.revision)).where(*where)).scalar()
    return 0 if latest is None else int(latest) + 1


@dataclass(frozen=True)
class Outcome:
    """One report of a window, the profile behind it without its sample, and what of the sample late labels join.

    `profile` is in the bytes that `WindowProfile.from_bytes` reads; `kept` is None for segments.
    """

    report: WindowReport
    profile: bytes
    kept: bytes | None = None


@dataclass(frozen=True)
class Closing:
    """One window of one model version, closed or revised.

    `states`: by the end of a window, the rules' state after it. `closed_end`: how far closing stood before, and stands
    then.
    """

    name: ModelVersion
    start: int
    closed_end: tuple[int | None, int | None]
    outcomes: Sequence[Outcome] = ()
    states: Mapping[int, object] = field(default_factory=dict)
    now: int = 0


def claim(connection: Connection, name: ModelVersion, before: int | None, after: int | None) -> bool:
    """Move how far closing stands, if it still stands where it did; False where another worker was quicker."""
    t = model_versions.c
    at = t.closed_end.is_(None) if before is None else t.closed_end == before
    where = (t.model == name[0], t.version == name[1], at)
    return connection.execute(sa.update(model_versions).where(*where).values(closed_end=after)).rowcount == 1


def write_states(connection: Connection, name: ModelVersion, states: Mapping[int, object]) -> None:
    """Keep the rules' state after each of the windows that end at the keys of `states`."""
    rows = [{"model": name[0], "version": name[1], "start": end, "state": v} for end, v in states.items()]
    upsert(connection, window_states, rows)


def write(connection: Connection, closing: Closing) -> bool:
    """Write a window's outcome; False (and nothing) where another worker was quicker."""
    if not claim(connection, closing.name, *closing.closed_end):
        return False
    model, version = closing.name
    t = reports.c
    window = (t.model == model) & (t.version == version) & (t.start == closing.start)
    connection.execute(sa.update(reports).where(window, t.latest).values(latest=False))
    upsert(connection, reports, [report_row(o.report, closing.now) for o in closing.outcomes])
    upsert(connection, window_profiles, [_profile_row(o) for o in closing.outcomes])
    write_states(connection, closing.name, closing.states)
    return True


def _window(key: WindowKey, baseline: str) -> dict[str, object]:
    return {
        "model": key.model,
        "version": key.version,
        "segment": key.segment,
        "start": key.start,
        "end": key.end,
        "baseline": baseline,
    }


def report_row(report: WindowReport, now: int, *, is_final: bool = False) -> dict[str, object]:
    """Return a report as the row of its table."""
    estimate = report.estimates.get(report.health.metric)
    return _window(report.key, report.baseline) | {
        "revision": report.revision,
        "latest": True,
        "final": is_final,
        "rows": report.rows,
        "status": report.health.status.value,
        "score": report.health.score,
        "metric": report.health.metric,
        "value": estimate.value if estimate else None,
        "lower": estimate.lower if estimate else None,
        "upper": estimate.upper if estimate else None,
        "reference": estimate.reference if estimate else None,
        "report": to_data(report),
        "created": now,
    }


def _profile_row(outcome: Outcome) -> dict[str, object]:
    return _window(outcome.report.key, outcome.report.baseline) | {
        "rows": outcome.report.rows,
        "profile": outcome.profile,
        "sample": outcome.kept,
    }
