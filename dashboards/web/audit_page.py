"""The audit trail: who did what, and whether the chain of hashes still holds."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import ColumnElement, RowMapping

from mlhealth.clock import format_duration
from mlhealth.dashboards.wording import moment
from mlhealth.queries.reports import Queries
from mlhealth.store.alert_tables import audit
from mlhealth.store.audit import Verification, verify
from mlhealth.store.database import Database

ROWS = 100
"""Rows of one page."""
KEPT_SECONDS = 60.0
"""For how long a verdict on a long chain is believed."""
SHORT = 5_000
"""Rows up to which the whole chain is read at every look."""


@dataclass(frozen=True)
class AuditFilter:
    """What the address asks for: by whom, which kind of act (a prefix), about what (a part of it), before which row."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    before: int = 0


@dataclass(frozen=True)
class AuditRow:
    """One row; `detail` in words."""

    seq: int
    at: int
    actor: str
    action: str
    subject: str
    detail: str


@dataclass(frozen=True)
class AuditPage:
    """What the page shows; `older` is where the next page begins, 0 at the end."""

    wanted: AuditFilter
    rows: tuple[AuditRow, ...]
    actions: tuple[str, ...]
    actors: tuple[str, ...]
    verified: Verification
    older: int


def audit_page(queries: Queries, wanted: AuditFilter) -> AuditPage:
    """Return the newest rows that meet the filter, with the verdict on the whole chain."""
    t = audit.c
    query = sa.select(audit).where(*_conditions(wanted)).order_by(t.seq.desc()).limit(ROWS + 1)
    with queries.database.read() as connection:
        found = connection.execute(query).mappings().all()
        names = [
            tuple(connection.execute(sa.select(column).distinct().order_by(column).limit(200)).scalars())
            for column in (t.action, t.actor)
        ]
    rows = tuple(_row(row) for row in found[:ROWS])
    older = rows[-1].seq if len(found) > ROWS else 0
    return AuditPage(wanted, rows, names[0], names[1], checked(queries.database), older)


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    t = audit.c
    found: list[ColumnElement[bool]] = []
    if wanted.actor:
        found.append(t.actor == wanted.actor)
    if wanted.action:
        found.append(t.action == wanted.action)
    if wanted.subject.strip():
        text = wanted.subject.strip()
        found.append(t.subject.contains(text, autoescape=True) | t.detail.contains(text, autoescape=True))
    if wanted.before > 0:
        found.append(t.seq < wanted.before)
    return found


def _row(row: RowMapping) -> AuditRow:
    return AuditRow(
        row["seq"], row["at"], row["actor"], row["action"], row["subject"], in_words(row["detail"])
    )


def in_words(detail: str) -> str:
    """Return the detail of a row as `name: value` texts; times as moments, hashes by their beginning.

    >>> in_words('{"rule":"Harm","note":"","submitted":1757376002000000}')
    'rule: Harm; submitted: 2025-09-09 00:00'
    """
    found = json.loads(detail)
    if not isinstance(found, dict):
        return str(found)
    told = {name: value for name, value in found.items() if value not in (None, "", [], {})}
    return "; ".join(f"{name.replace('_', ' ')}: {_plain(name, value)}" for name, value in told.items())


_MOMENTS = frozenset(
    {
        "at",
        "submitted",
        "finished",
        "recovered",
        "starts",
        "ends",
        "fired_at",
        "effective_start",
        "start",
        "end",
    }
)
_HASH = re.compile(r"[0-9a-f]{40,64}")


def _plain(name: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        if name in _MOMENTS:
            return moment(value) if value else "the beginning"
        return format_duration(value) if name == "time_to_recovery" else f"{value:,}"
    if isinstance(value, str):
        return value[:12] if _HASH.fullmatch(value) else value
    return json.dumps(value, ensure_ascii=False)


class _Checked:
    """The verdict on the chain, kept for a while unless a row is added: a long trail is not read for each look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int, str], Verification] = {}
        self._read = 0.0

    def of(self, database: Database) -> Verification:
        """Return whether the chain holds."""
        last = sa.select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
        count = sa.select(sa.func.count()).select_from(audit)
        with self._lock, database.read() as connection:
            newest = connection.execute(last).first()
            rows = int(connection.execute(count).scalar_one())
            mark = (str(database.engine.url), rows, newest.hash if newest else "")
            is_old = time.monotonic() - self._read > KEPT_SECONDS
            if rows <= SHORT or is_old or mark not in self._known:
                self._known, self._read = {mark: verify(connection)}, time.monotonic()
            return self._known[mark]


_CHECKED = _Checked()


def checked(database: Database) -> Verification:
    """Return whether the audit trail's chain of hashes holds, looked at again whenever a row has come."""
    return _CHECKED.of(database)
