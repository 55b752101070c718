"""A model's history in a range of time, for a post-mortem: windows, alerts, retraining, markers, and who did what.

Everything is an entry with a moment in event time where it has one, else in wall time; the export is reproducible from
the store alone and holds no event bodies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.clock import to_iso
from mlhealth.store import markers
from mlhealth.store.alert_tables import alert_transitions, audit, outbox, retraining_requests
from mlhealth.store.database import Database
from mlhealth.store.tables import baseline_activations, rejections, reports

SCHEMA = "mlhealth.timeline/1"


@dataclass(frozen=True)
class Span:
    """Of which model, from when up to before when; microseconds."""

    model: str
    start: int
    end: int


@dataclass(frozen=True)
class Entry:
    """Something that happened. `data` is JSON-able."""

    at: int
    kind: str
    version: str
    text: str
    data: Mapping[str, Any]


def timeline(database: Database, span: Span) -> list[Entry]:
    """Return what happened to a model in a range of time, in order."""
    readers = (_windows, _alerts, _notices, _retraining, _markers, _activations, _rejections, _actions)
    with database.read() as connection:
        found = [entry for reader in readers for entry in reader(connection, span)]
    return sorted(found, key=lambda entry: (entry.at, entry.kind))


def as_data(span: Span, entries: list[Entry]) -> dict[str, Any]:
    """Return the export as JSON-able data."""
    return {
        "schema": SCHEMA,
        "model": span.model,
        "from": to_iso(span.start),
        "to": to_iso(span.end),
        "entries": [
            {"at": to_iso(e.at), "kind": e.kind, "version": e.version, "text": e.text, "data": dict(e.data)}
            for e in entries
        ],
    }


def as_markdown(span: Span, entries: list[Entry]) -> str:
    """Return the export as a page to paste into a post-mortem; windows that changed nothing are left out."""
    lines = [
        f"# {span.model}: {to_iso(span.start)} to {to_iso(span.end)}",
        "",
        "| when | version | what |",
        "|---|---|---|",
    ]
    status: dict[str, str] = {}
    for entry in entries:
        if entry.kind == "window":
            before, now = status.get(entry.version), str(entry.data["status"])
            status[entry.version] = now
            if before == now:
                continue
        lines.append(f"| {to_iso(entry.at)} | {entry.version} | {_cell(entry)} |")
    return "\n".join([*lines, ""])


def _cell(entry: Entry) -> str:
    return f"**{entry.kind}** {entry.text}".replace("|", "\\|").replace("\n", " ")


def _windows(connection: Connection, span: Span) -> Iterator[Entry]:
    t = reports.c
    where = (t.model == span.model, t.segment == "", t.latest, t.end > span.start, t.end <= span.end)
    for r in connection.execute(sa.select(reports).where(*where).order_by(t.end)):
        value = "" if r.value is None else f", {r.metric} {r.value:.3f} ({r.lower:.3f} to {r.upper:.3f})"
        score = "" if r.score is None else f", health {r.score:.0f}"
        yield Entry(r.end, "window", r.version, f"{r.status}{score}{value}, {r.rows} rows", {
            "status": r.status, "score": r.score, "rows": r.rows, "revision": r.revision, "report": r.report,
        })  # fmt: skip


def _alerts(connection: Connection, span: Span) -> Iterator[Entry]:
    t = alert_transitions.c
    query = sa.select(alert_transitions).where(*_between(t, t.at, span)).order_by(t.id)
    for r in connection.execute(query):
        about = r.annotations.get("summary", "")
        text = f"{r.rule} {r.state}{f' ({r.segment})' if r.segment else ''}{f': {about}' if about else ''}"
        data = {"rule": r.rule, "state": r.state, "severity": r.severity, "fingerprint": r.fingerprint}
        yield Entry(r.at, "alert", r.version, text, data)


def _notices(connection: Connection, span: Span) -> Iterator[Entry]:
    """Yield deliveries, at the wall time at which they were finished."""
    of_model = sa.select(alert_transitions.c.fingerprint).where(alert_transitions.c.model == span.model)
    t = outbox.c
    where = (t.fingerprint.in_(of_model), t.finished >= span.start, t.finished < span.end)
    for r in connection.execute(sa.select(outbox).where(*where).order_by(t.id)):
        notice = json.loads(r.notice)
        text = f"{r.kind} {r.state} to {r.receiver}{f': {r.note}' if r.note else ''}"
        data = {
            "receiver": r.receiver,
            "state": r.state,
            "attempts": r.attempts,
            "fingerprint": r.fingerprint,
        }
        yield Entry(r.finished, "notice", notice["alert"]["version"], text, data)


def _retraining(connection: Connection, span: Span) -> Iterator[Entry]:
    t = retraining_requests.c
    query = sa.select(retraining_requests).where(*_between(t, t.created, span)).order_by(t.created)
    for r in connection.execute(query):
        known = [r.status, r.verdict, r.action]
        text = f"{r.service}: {', '.join(str(k) for k in known if k)}; {r.reason}"
        names = ("id", "status", "job", "detail", "approved_by", "new_version", "verdict", "action", "recovered",
                 "time_to_recovery", "gpu_seconds", "evidence")  # fmt: skip
        yield Entry(r.created, "retraining", r.version, text, {name: getattr(r, name) for name in names})


def _markers(connection: Connection, span: Span) -> Iterator[Entry]:
    for m in markers.between(connection, span.model, span.start, span.end):
        yield Entry(m.at, m.kind, m.version, f"{m.note} ({m.by})", {"by": m.by, "note": m.note})


def _activations(connection: Connection, span: Span) -> Iterator[Entry]:
    t = baseline_activations.c
    where = (t.model == span.model, t.created >= span.start, t.created < span.end)
    for r in connection.execute(sa.select(baseline_activations).where(*where).order_by(t.id)):
        data = {"baseline": r.baseline, "effective_start": r.effective_start}
        yield Entry(r.created, "baseline", r.version, f"baseline {r.baseline[:12]} activated", data)


def _rejections(connection: Connection, span: Span) -> Iterator[Entry]:
    """Yield rejected events in one entry per version and reason, at the first of them."""
    t = rejections.c
    query = (
        sa.select(t.version, t.reason, sa.func.count().label("events"), sa.func.min(t.created).label("first"))
        .where(*_between(t, t.created, span))
        .group_by(t.version, t.reason)
    )
    for r in connection.execute(query):
        text = f"{r.events} events: {r.reason}"
        yield Entry(r.first, "rejected", r.version, text, {"events": r.events, "reason": r.reason})


def _actions(connection: Connection, span: Span) -> Iterator[Entry]:
    """Yield acts of the audit trail that name the model, one of its alerts, or one of its requests."""
    t = audit.c
    query = sa.select(audit).where(t.at >= span.start, t.at < span.end).order_by(t.seq)
    mine = _subjects(connection, span.model)
    for r in connection.execute(query):
        if r.subject in mine or r.subject.partition("/")[0] == span.model:
            version = r.subject.partition("/")[2] if "/" in r.subject else ""
            data = {
                "actor": r.actor,
                "action": r.action,
                "subject": r.subject,
                "detail": json.loads(r.detail),
            }
            yield Entry(r.at, "action", version, f"{r.action} of {r.subject} by {r.actor}", data)


def _subjects(connection: Connection, model: str) -> set[str]:
    marks = sa.select(alert_transitions.c.fingerprint).where(alert_transitions.c.model == model)
    asked = sa.select(retraining_requests.c.id).where(retraining_requests.c.model == model)
    return {str(row[0]) for query in (marks, asked) for row in connection.execute(query)}


def _between(t: Any, moment: Any, span: Span) -> tuple[Any, ...]:
    return t.model == span.model, moment >= span.start, moment < span.end
