"""Windows that take no more rows: noted as final, and what only they needed let go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.store import event_ids
from mlhealth.store.closing import ModelVersion
from mlhealth.store.tables import IS_OPEN, model_versions, partials, reports, window_states
from mlhealth.window_plan import Told


@dataclass(frozen=True)
class Settling:
    """Windows that shall take no more rows: `told` as they were reported, up to `final_end`.

    `needed_from`: given how far windows are final, the start of the first pane that others still need. `keep_states`:
    for how long (microseconds) the rules' states are kept for labels that revise older windows.
    """

    told: Sequence[Told]
    final_end: int
    needed_from: Callable[[int], int]
    keep_states: int = 0


def settle(connection: Connection, name: ModelVersion, settling: Settling) -> int:
    """Let windows take no more rows, and forget the partials that no window needs any longer.

    Returns up to where panes take no more rows: a window that got rows since it was reported holds that back until it
    is revised.
    """
    t, s, r = model_versions.c, window_states.c, reports.c
    where = (t.model == name[0], t.version == name[1])
    connection.execute(sa.select(t.final_end).where(*where).with_for_update())
    panes = _panes_of(connection, name)
    held = [
        told.start
        for told in settling.told
        if told.end <= settling.final_end
        and sum(n for start, (_, n) in panes.items() if told.start <= start < told.end) != told.rows
    ]
    final = min([settling.final_end, *held])
    needed = settling.needed_from(final)
    _forget(connection, name, [start for start, (end, _) in panes.items() if start < needed and end <= final])
    event_ids.delete(connection, name, final)
    over = (r.model == name[0]) & (r.version == name[1]) & (r.end <= final)
    connection.execute(sa.update(reports).where(over, IS_OPEN).values(final=True))
    lower = sa.or_(t.final_end.is_(None), t.final_end < final)
    connection.execute(sa.update(model_versions).where(*where, lower).values(final_end=final))
    latest = (
        sa.select(sa.func.max(s.start))
        .where(s.model == name[0], s.version == name[1], s.start <= final - settling.keep_states)
        .scalar_subquery()
    )
    connection.execute(
        sa.delete(window_states).where(s.model == name[0], s.version == name[1], s.start < latest)
    )
    return final


def _panes_of(connection: Connection, name: ModelVersion) -> dict[int, tuple[int, int]]:
    """Return end and rows of each pane of a model version that has partials, by its start."""
    t = partials.c
    rows = sa.func.sum(sa.case((t.segment == "", t.rows), else_=0))
    mine = (t.model == name[0], t.version == name[1])
    query = sa.select(t.start, sa.func.max(t.end), rows).where(*mine).group_by(t.start)
    return {start: (end, int(count)) for start, end, count in connection.execute(query)}


def _forget(connection: Connection, name: ModelVersion, starts: Sequence[int]) -> None:
    """Forget the partials of whole panes."""
    t = partials.c
    if starts:
        connection.execute(
            sa.delete(partials).where(t.model == name[0], t.version == name[1], t.start.in_(starts))
        )
