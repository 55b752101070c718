"""Windows that were closed before and are revised by labels: what is kept of them, and their next revision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.records import WindowReport
from mlhealth.report_json import from_data
from mlhealth.store.closing import ModelVersion, next_revision, report_row
from mlhealth.store.database import upsert
from mlhealth.store.tables import model_versions, reports, window_profiles


def hold(connection: Connection, name: ModelVersion) -> None:
    """Let nobody else close or revise windows of a model version until the transaction ends."""
    t = model_versions.c
    held = sa.select(t.model).where(t.model == name[0], t.version == name[1]).with_for_update()
    connection.execute(held)


def revise(connection: Connection, found: Sequence[WindowReport], now: int) -> bool:
    """Write later revisions of reports that stand; False (and nothing) where one is not the next of its window.

    `found` has every report of each of its windows.
    """
    t = reports.c
    windows = {(r.key.model, r.key.version, r.key.start): r.revision for r in found}
    finals: dict[int, bool] = {}
    for (model, version, start), revision in windows.items():
        if next_revision(connection, (model, version), start) != revision:
            return False
        window = (t.model == model) & (t.version == version) & (t.start == start) & t.latest
        finals[start] = bool(connection.execute(sa.select(t.final).where(window).limit(1)).scalar())
        connection.execute(sa.update(reports).where(window).values(latest=False))
    upsert(connection, reports, [report_row(r, now, is_final=finals[r.key.start]) for r in found])
    return True


@dataclass(frozen=True)
class KeptWindow:
    """A closed window whose sample late labels can join; `rows` changes when late rows do."""

    start: int
    rows: int


def kept_windows(connection: Connection, name: ModelVersion, since: int) -> list[KeptWindow]:
    """Return the windows that start at `since` or later and have a kept sample, in order of time."""
    t = window_profiles.c
    where = (
        t.model == name[0],
        t.version == name[1],
        t.segment == "",
        t.start >= since,
        t.sample.is_not(None),
    )
    query = sa.select(t.start, sa.func.max(t.rows)).where(*where).group_by(t.start).order_by(t.start)
    return [KeptWindow(int(start), int(rows)) for start, rows in connection.execute(query)]


def kept_sample(connection: Connection, name: ModelVersion, start: int) -> tuple[str, bytes] | None:
    """Return the baseline that a window was judged by and the kept sample of its rows."""
    t, r = window_profiles.c, reports.c
    latest = sa.select(r.baseline).where(
        r.model == name[0], r.version == name[1], r.segment == "", r.start == start, r.latest
    )
    where = (
        t.model == name[0],
        t.version == name[1],
        t.segment == "",
        t.start == start,
        t.baseline.in_(latest),
    )
    found = connection.execute(sa.select(t.baseline, t.sample).where(*where, t.sample.is_not(None))).first()
    return None if found is None else (found.baseline, found.sample)


def window_reports(connection: Connection, name: ModelVersion, start: int) -> list[WindowReport]:
    """Return the latest reports of one window, the overall one first."""
    t = reports.c
    where = (t.model == name[0], t.version == name[1], t.start == start, t.latest)
    query = sa.select(t.report).where(*where).order_by(t.segment)
    return [from_data(r.report) for r in connection.execute(query)]
