"""Retention: old windows merged into days, and what is older still let go.

Ages are counted back from the event time that a model version has reached (not from the wall clock), so that replayed
history is kept as long as live traffic. Only windows that take no more rows are touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from mlhealth.clock import DAY
from mlhealth.profile.window_profile import ProfileLayout, WindowProfile
from mlhealth.store import baselines
from mlhealth.store.database import Database, upsert
from mlhealth.store.inbox import forget_requests
from mlhealth.store.inbox_tables import inbox
from mlhealth.store.rollup_tables import day_profiles
from mlhealth.store.tables import model_versions, rejections, reports, window_profiles

_LOCK = 7_310_584
"""PostgreSQL advisory lock under which one process at a time retains."""


@dataclass(frozen=True)
class Ages:
    """From which age on (microseconds) what is let go; None keeps it for ever.

    `samples`: of windows, for labels that come late. `windows`: profiles, which live on merged into days. `reports`:
    with all their revisions. `days`: the merged profiles. `rejections`: addresses of events that could not be used,
    and dead letters of the inbox, by wall time. `tile`: length of windows that overlap (they slide); only those that
    start at a multiple of it are merged, so that a day counts each row once.
    """

    samples: int | None = None
    windows: int | None = None
    reports: int | None = None
    days: int | None = None
    rejections: int | None = None
    tile: int | None = None


@dataclass(frozen=True)
class Retained:
    """How many rows were let go of each kind; `merged`: windows that went into days."""

    samples: int = 0
    merged: int = 0
    reports: int = 0
    days: int = 0
    rejections: int = 0

    def __add__(self, other: Retained) -> Retained:
        names = [f.name for f in fields(self)]
        return Retained(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass
class _Layouts:
    """Layouts of baselines, read when first needed."""

    known: dict[str, ProfileLayout] = field(default_factory=dict)

    def of(self, connection: Connection, baseline: str) -> ProfileLayout:
        if baseline not in self.known:
            self.known[baseline] = baselines.load(connection, baseline).layout
        return self.known[baseline]


def retain(database: Database, ages_of: Callable[[str], Ages], now: int) -> Retained:
    """Let go of what is too old; `ages_of` gives the ages of a model by name. Safe to be ended at any moment."""
    layouts = _Layouts()
    total = Retained()
    with database.read() as connection:
        t = model_versions.c
        versions = connection.execute(sa.select(t.model, t.version, t.closed_end, t.final_end)).all()
    for model, version, closed_end, final_end in versions:
        if closed_end is not None and final_end is not None:
            span = _Span((model, version), min(now, closed_end), final_end)
            total += _retain_version(database, span, ages_of(model), layouts)
    return total + _retain_rejections(database, ages_of("").rejections, now)


@dataclass(frozen=True)
class _Span:
    """A model version, the event time it has reached, and up to where its windows take no more rows."""

    name: tuple[str, str]
    reached: int
    final_end: int

    def before(self, age: int | None) -> int | None:
        """Return which windows are too old: those that end by then."""
        return None if age is None else min(self.reached - age, self.final_end)


@dataclass(frozen=True)
class _Day:
    """Windows that are merged together."""

    segment: str
    baseline: str
    day: int
    tile: int = 1


def _retain_version(database: Database, span: _Span, ages: Ages, layouts: _Layouts) -> Retained:
    done = Retained(merged=_merge_days(database, span, ages, layouts))
    with _alone(database) as connection:
        if connection is None:
            return done
        samples = _forget_samples(connection, span, span.before(ages.samples))
        gone = _delete(connection, reports, span, reports.c.end, span.before(ages.reports))
        days = _delete(connection, day_profiles, span, day_profiles.c.day, span.before(ages.days))
    return done + Retained(samples=samples, reports=gone, days=days)


def _merge_days(database: Database, span: _Span, ages: Ages, layouts: _Layouts) -> int:
    """Merge whole days of windows, a day and segment in one transaction; return how many windows went."""
    before = span.before(ages.windows)
    if before is None:
        return 0
    t = window_profiles.c
    day = (t.start - t.start % DAY).label("day")
    mine = (t.model == span.name[0], t.version == span.name[1], t.end <= before - before % DAY)
    query = sa.select(t.segment, t.baseline, day).where(*mine).distinct().order_by(day)
    with database.read() as connection:
        groups = [_Day(*row) for row in connection.execute(query)]
    return sum(_merge_day(database, span, replace(group, tile=ages.tile or 1), layouts) for group in groups)


def _merge_day(database: Database, span: _Span, group: _Day, layouts: _Layouts) -> int:
    t = window_profiles.c
    key = {
        "model": span.name[0],
        "version": span.name[1],
        "segment": group.segment,
        "baseline": group.baseline,
    }
    mine = [t[name] == value for name, value in key.items()]
    mine += [t.start >= group.day, t.start < group.day + DAY, t.end <= span.final_end]
    with _alone(database) as connection:
        if connection is None:
            return 0
        layout = layouts.of(connection, group.baseline)
        gone = connection.execute(sa.delete(window_profiles).where(*mine).returning(t.start, t.profile)).all()
        taken = [row.profile for row in gone if row.start % group.tile == 0]
        known = connection.execute(
            sa.select(day_profiles).where(
                *(day_profiles.c[name] == value for name, value in key.items()),
                day_profiles.c.day == group.day,
            )
        ).first()
        profile = _merged([*taken, *([known.profile] if known else [])], layout)
        windows = len(taken) + (known.windows if known else 0)
        row = {
            **key,
            "day": group.day,
            "windows": windows,
            "rows": profile.rows,
            "profile": profile.to_bytes(),
        }
        upsert(connection, day_profiles, [row])
    return len(gone)


def _merged(blobs: Sequence[bytes], layout: ProfileLayout) -> WindowProfile:
    total = WindowProfile.empty(layout)
    for blob in blobs:
        total = total.merge(replace(WindowProfile.from_bytes(blob, layout), sample=None))
    return total


def _forget_samples(connection: Connection, span: _Span, before: int | None) -> int:
    t = window_profiles.c
    if before is None:
        return 0
    mine = (t.model == span.name[0], t.version == span.name[1], t.end <= before, t.sample.is_not(None))
    return connection.execute(sa.update(window_profiles).where(*mine).values(sample=None)).rowcount


def _delete(
    connection: Connection, table: Table, span: _Span, time: sa.ColumnElement[int], before: int | None
) -> int:
    if before is None:
        return 0
    mine = (table.c.model == span.name[0], table.c.version == span.name[1], time <= before)
    return connection.execute(sa.delete(table).where(*mine)).rowcount


def _retain_rejections(database: Database, age: int | None, now: int) -> Retained:
    with _alone(database) as connection:
        if connection is None or age is None:
            return Retained()
        forget_requests(connection, now)
        letters = (inbox.c.reason.is_not(None), inbox.c.written < now - age)
        gone = connection.execute(sa.delete(inbox).where(*letters)).rowcount
        gone += connection.execute(sa.delete(rejections).where(rejections.c.created < now - age)).rowcount
    return Retained(rejections=gone)


@contextmanager
def _alone(database: Database) -> Iterator[Connection | None]:
    """A transaction that no other process retains in; None where another does."""
    with database.begin() as connection:
        if database.is_sqlite:
            yield connection
            return
        taken = connection.execute(sa.text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK}).scalar()
        yield connection if taken else None
