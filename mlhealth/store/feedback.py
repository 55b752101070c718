"""What people said of pages, in the store: the last word on each firing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from mlhealth.errors import ConflictError, NotFoundError
from mlhealth.feedback import JudgedPage, Precision, Suggestion, Verdict, precision, suggestions
from mlhealth.objective import ABSOLUTE_TOLERANCE
from mlhealth.records import AlertState
from mlhealth.store.alert_tables import alert_transitions
from mlhealth.store.audit import Entry, append
from mlhealth.store.database import upsert
from mlhealth.store.tables import reports
from mlhealth.store.trust_tables import page_feedback

PAGES = "page"
"""Severity of alerts that page."""


def judge(
    connection: Connection, fingerprint: str, verdict: Verdict, said: tuple[str, str], now: int
) -> JudgedPage:
    """Note what a person says of the last firing of an alert; `said` is who and a note.

    Raises NotFoundError where there is no such alert, ConflictError where it has never fired.
    """
    by, note = said
    fired = _last_firing(connection, fingerprint)
    page = JudgedPage(fingerprint, fired.at, fired.model, fired.version, fired.rule, verdict, note, by)
    row = {
        "fingerprint": fingerprint,
        "fired_at": page.fired_at,
        "model": page.model,
        "version": page.version,
        "rule": page.rule,
        "verdict": str(verdict),
        "note": note,
        "by": by,
        "at": now,
    }
    upsert(connection, page_feedback, [row])
    action = "alert.useful" if verdict is Verdict.USEFUL else "alert.useless"
    append(connection, Entry(now, by, action, fingerprint, {"verdict": str(verdict), "note": note}))
    return page


def judged_pages(connection: Connection, model: str) -> list[JudgedPage]:
    """Return every judged firing of a model, oldest first, with the loss estimated in the window that it fired in."""
    t = page_feedback.c
    query = sa.select(page_feedback).where(t.model == model).order_by(t.fired_at, t.fingerprint)
    return [
        JudgedPage(
            row.fingerprint,
            row.fired_at,
            row.model,
            row.version,
            row.rule,
            Verdict(row.verdict),
            row.note,
            row.by,
            _loss(connection, row),
        )
        for row in connection.execute(query)
    ]


def trust(
    connection: Connection, model: str, tolerance: float | None = None
) -> tuple[Precision, Sequence[Suggestion]]:
    """Return the precision of a model's past pages and what they suggest; nothing is changed."""
    judged = judged_pages(connection, model)
    t = alert_transitions.c
    where = (t.model == model, t.state == str(AlertState.FIRING), t.severity == PAGES)
    firings = sa.select(sa.func.count()).select_from(alert_transitions).where(*where)
    found = precision(model, int(connection.execute(firings).scalar_one()), judged)
    return found, suggestions(found, judged, ABSOLUTE_TOLERANCE if tolerance is None else tolerance)


def models_with_pages(connection: Connection) -> list[str]:
    """Return the models of which any page fired, by name."""
    t = alert_transitions.c
    query = sa.select(t.model).where(t.severity == PAGES).distinct().order_by(t.model)
    return [row.model for row in connection.execute(query)]


def _last_firing(connection: Connection, fingerprint: str) -> Row[Any]:
    t = alert_transitions.c
    query = sa.select(alert_transitions).where(t.fingerprint == fingerprint)
    known = connection.execute(query.order_by(t.at.desc(), t.id.desc())).all()
    if not known:
        raise NotFoundError(f"there is no alert {fingerprint}; `mlhealth alert list` shows them")
    fired = next((row for row in known if row.state == AlertState.FIRING), None)
    if fired is None:
        raise ConflictError(f"alert {fingerprint} has never fired: there is no page to judge")
    return fired


def _loss(connection: Connection, row: Row[Any]) -> float | None:
    r = reports.c
    where = (r.model == row.model, r.version == row.version, r.segment == "", r.end == row.fired_at, r.latest)
    told = connection.execute(sa.select(r.report).where(*where).limit(1)).scalar()
    loss = (told or {}).get("health", {}).get("parts", {}).get("loss")
    return None if loss is None else float(loss)
