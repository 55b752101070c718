"""What closing windows reads and writes: a snapshot of progress, partial profiles, and a window's whole outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.events.messages import Partition
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import WindowKey, WindowReport
from mlhealth.report_json import from_data, to_data
from mlhealth.store import event_ids
from mlhealth.store.checkpoints import Seen
from mlhealth.store.database import Database, upsert
from mlhealth.store.tables import (
    counters,
    model_versions,
    partials,
    partitions,
    reports,
    watermarks,
    window_profiles,
    window_states,
)
from mlhealth.windows import OpenWindow

ModelVersion = tuple[str, str]


@dataclass(frozen=True)
class Standing:
    """How far a model version has come: its lifecycle, its two ends, and its windows that still have partials."""

    state: str
    closed_end: int | None
    final_end: int | None
    windows: tuple[OpenWindow, ...] = ()
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
        seen = _seen(connection)
        windows = _open_windows(connection)
        models = {
            (r.model, r.version): Standing(
                r.state,
                r.closed_end,
                r.final_end,
                tuple(windows.get((r.model, r.version), ())),
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


def _open_windows(connection: Connection) -> dict[ModelVersion, list[OpenWindow]]:
    p, r = partials.c, reports.c
    sums = (
        sa.select(p.model, p.version, p.start, sa.func.sum(p.rows).label("rows"))
        .where(p.segment == "")
        .group_by(p.model, p.version, p.start)
        .subquery()
    )
    told = (
        sa.select(
            r.model, r.version, r.start, sa.func.sum(r.rows).label("rows"), sa.func.max(r.created).label("at")
        )
        .where(r.segment == "", r.latest)
        .group_by(r.model, r.version, r.start)
        .subquery()
    )
    on = (sums.c.model == told.c.model) & (sums.c.version == told.c.version) & (sums.c.start == told.c.start)
    query = sa.select(sums, told.c.rows.label("reported"), told.c.at).select_from(sums.outerjoin(told, on))
    out: dict[ModelVersion, list[OpenWindow]] = {}
    for row in connection.execute(query):
        reported = None if row.reported is None else int(row.reported)
        window = OpenWindow(row.start, int(row.rows), reported, row.at or 0)
        out.setdefault((row.model, row.version), []).append(window)
    return out


@dataclass(frozen=True)
class Part:
    """One stored partial profile of a window."""

    segment: str
    baseline: str
    rows: int
    profile: bytes


def parts(connection: Connection, name: ModelVersion, start: int) -> list[Part]:
    """Return the partials of a window in the order in which they are merged, the same on every worker."""
    t = partials.c
    query = (
        sa.select(t.segment, t.baseline, t.rows, t.profile)
        .where(t.model == name[0], t.version == name[1], t.start == start)
        .order_by(t.segment, t.baseline, t.topic, t.partition)
    )
    return [Part(r.segment, r.baseline, r.rows, r.profile) for r in connection.execute(query)]


def state_before(connection: Connection, name: ModelVersion, start: int) -> object | None:
    """Return the state before the window at `start`: the latest that is not after it; None before the first."""
    t = window_states.c
    where = (t.model == name[0], t.version == name[1], t.start <= start)
    return connection.execute(sa.select(t.state).where(*where).order_by(t.start.desc()).limit(1)).scalar()


def state_at(connection: Connection, name: ModelVersion, start: int) -> object | None:
    """Return the state before the window that starts exactly at `start`; None where none is kept."""
    t = window_states.c
    where = (t.model == name[0], t.version == name[1], t.start == start)
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
    """One report of a window, the profile behind it, and what of its sample late labels join (segments: None)."""

    report: WindowReport
    profile: WindowProfile
    kept: bytes | None = None


@dataclass(frozen=True)
class Closing:
    """One window of one model version, closed or revised.

    `rows`: of the overall partials it was made of. `states`: by start, the rules' state before later windows.
    `closed_end`: how far closing stood before, and stands then. `is_final`: the partials go.
    """

    name: ModelVersion
    start: int
    end: int
    rows: int
    is_final: bool
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
    """Keep the rules' state before each of the windows that start at the keys of `states`."""
    rows = [{"model": name[0], "version": name[1], "start": s, "state": v} for s, v in states.items()]
    upsert(connection, window_states, rows)


def write(connection: Connection, closing: Closing) -> bool:
    """Write a window's outcome; False (and nothing) where another worker was quicker or rows came meanwhile."""
    if not claim(connection, closing.name, *closing.closed_end):
        return False
    if closing.is_final and _rows_now(connection, closing.name, closing.start) != closing.rows:
        return False
    model, version = closing.name
    t = reports.c
    window = (t.model == model) & (t.version == version) & (t.start == closing.start)
    connection.execute(sa.update(reports).where(window, t.latest).values(latest=False))
    upsert(
        connection, reports, [report_row(o.report, closing.is_final, closing.now) for o in closing.outcomes]
    )
    upsert(connection, window_profiles, [_profile_row(o) for o in closing.outcomes])
    write_states(connection, closing.name, closing.states)
    if closing.is_final:
        delete_partials(connection, closing.name, [closing.start])
    return True


def retire(
    connection: Connection,
    name: ModelVersion,
    windows: Sequence[OpenWindow],
    final_end: int,
    keep_states: int = 0,
) -> None:
    """Let windows that end by `final_end` take no more rows, and forget the partials that their reports were made of.

    A window that got rows since it was reported keeps its partials, and holds `final_end` back, until it is revised.
    `keep_states`: for how long (microseconds) the rules' states are kept for labels that revise older windows.
    """
    t, s = model_versions.c, window_states.c
    where = (t.model == name[0], t.version == name[1])
    connection.execute(sa.select(t.final_end).where(*where).with_for_update())
    held = [w.start for w in windows if _rows_now(connection, name, w.start) != w.reported]
    delete_partials(connection, name, [w.start for w in windows if w.start not in held])
    end = min([final_end, *held])
    r = reports.c
    over = (r.model == name[0]) & (r.version == name[1]) & (r.end <= end)
    connection.execute(sa.update(reports).where(over, r.latest, ~r.final).values(final=True))
    lower = sa.or_(t.final_end.is_(None), t.final_end < end)
    connection.execute(sa.update(model_versions).where(*where, lower).values(final_end=end))
    latest = (
        sa.select(sa.func.max(s.start))
        .where(s.model == name[0], s.version == name[1], s.start <= end - keep_states)
        .scalar_subquery()
    )
    connection.execute(
        sa.delete(window_states).where(s.model == name[0], s.version == name[1], s.start < latest)
    )


def delete_partials(connection: Connection, name: ModelVersion, starts: Sequence[int]) -> None:
    """Forget the partials of whole windows."""
    t = partials.c
    if starts:
        connection.execute(
            sa.delete(partials).where(t.model == name[0], t.version == name[1], t.start.in_(starts))
        )
        event_ids.delete(connection, name, starts)


def _rows_now(connection: Connection, name: ModelVersion, start: int) -> int:
    t = partials.c
    where = (t.model == name[0], t.version == name[1], t.start == start, t.segment == "")
    return int(
        connection.execute(sa.select(sa.func.coalesce(sa.func.sum(t.rows), 0)).where(*where)).scalar_one()
    )


def _window(key: WindowKey, baseline: str) -> dict[str, object]:
    return {
        "model": key.model,
        "version": key.version,
        "segment": key.segment,
        "start": key.start,
        "end": key.end,
        "baseline": baseline,
    }


def report_row(report: WindowReport, is_final: bool, now: int) -> dict[str, object]:
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
        "rows": outcome.profile.rows,
        "profile": replace(outcome.profile, sample=None).to_bytes(),
        "sample": outcome.kept,
    }
