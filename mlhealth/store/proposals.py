"""Refreshed baselines: proposed with a comparison, approved or rejected by a person, never taken from bad times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from mlhealth.clock import to_iso
from mlhealth.errors import ConflictError, NotFoundError
from mlhealth.records import AlertState
from mlhealth.store import baselines
from mlhealth.store.alert_tables import alert_transitions
from mlhealth.store.audit import Entry, append
from mlhealth.store.baselines import Activation
from mlhealth.store.database import insert_missing
from mlhealth.store.tables import baseline_activations
from mlhealth.store.trust_tables import baseline_proposals
from mlhealth.versions.baselines import BaselineComparison

PROPOSED, APPROVED, REJECTED = "proposed", "approved", "rejected"
INCIDENTS = ("page", "critical")
"""Severities of alerts during which rows say nothing of what is normal."""


@dataclass(frozen=True)
class Proposal:
    """A baseline that awaits, or had, a person's decision; `against` is the one active when it was proposed."""

    hash: str
    model: str
    version: str
    against: str | None
    state: str
    comparison: Mapping[str, Any]
    reason: str
    by: str
    at: int
    decided_by: str | None = None
    decided_at: int | None = None


@dataclass(frozen=True)
class Incident:
    """A time in which an alert fired, `end` None while it still does."""

    rule: str
    start: int
    end: int | None


def active_hash(connection: Connection, model: str, version: str) -> str | None:
    """Return the hash of the baseline that speaks for the newest windows, None where there is none."""
    t = baseline_activations.c
    query = sa.select(t.baseline).where(t.model == model, t.version == version)
    return connection.execute(query.order_by(t.effective_start.desc(), t.id.desc()).limit(1)).scalar()


def incidents(connection: Connection, model: str, version: str, start: int, end: int) -> list[Incident]:
    """Return the incidents of a model version that overlap a period of event time."""
    t = alert_transitions.c
    where = (t.model == model, t.version == version, t.severity.in_(INCIDENTS))
    rows = connection.execute(sa.select(alert_transitions).where(*where).order_by(t.at, t.id)).all()
    open_: dict[str, Incident] = {}
    found: list[Incident] = []
    for row in rows:
        if row.state == AlertState.FIRING:
            open_.setdefault(row.fingerprint, Incident(row.rule, row.at, None))
        elif row.fingerprint in open_ and row.state in (AlertState.RESOLVED, AlertState.INACTIVE):
            began = open_.pop(row.fingerprint)
            found.append(Incident(began.rule, began.start, row.at))
    found += open_.values()
    return [i for i in found if i.start <= end and (i.end is None or i.end >= start)]


def refuse_bad_times(connection: Connection, model: str, version: str, period: tuple[int, int]) -> None:
    """Raise ConflictError where reference rows come from a time in which an incident was open."""
    found = incidents(connection, model, version, *period)
    if found:
        first = found[0]
        until = "and is still open" if first.end is None else f"until {to_iso(first.end)}"
        raise ConflictError(
            f"the rows reach into an incident ({first.rule} fired at {to_iso(first.start)} {until}): "
            "leave out the rows of that time, or a fault becomes the new normal"
        )


def propose(
    connection: Connection, comparison: BaselineComparison, said: tuple[str, str], now: int
) -> Proposal:
    """Note a stored baseline as proposed; `said` is who and why. Proposing the same again changes nothing."""
    by, reason = said
    found = baselines.find(connection, comparison.after)
    row = {
        "hash": found.hash,
        "model": found.model,
        "version": found.version,
        "against": comparison.before,
        "state": PROPOSED,
        "comparison": comparison.to_data(),
        "reason": reason,
        "by": by,
        "at": now,
    }
    insert_missing(connection, baseline_proposals, [row])
    append(connection, Entry(now, by, "baseline.propose", found.hash, {"reason": reason}))
    return get(connection, found.hash)


def proposals(connection: Connection, state: str | None = None) -> list[Proposal]:
    """Return proposals, the newest first."""
    t = baseline_proposals.c
    query = sa.select(baseline_proposals).order_by(t.at.desc(), t.hash)
    if state is not None:
        query = query.where(t.state == state)
    return [_proposal(row) for row in connection.execute(query)]


def get(connection: Connection, name: str) -> Proposal:
    """Return the proposal whose hash begins with `name`; raises NotFoundError, ConflictError."""
    t = baseline_proposals.c
    query = sa.select(baseline_proposals).where(t.hash.startswith(name, autoescape=True)).limit(2)
    rows = connection.execute(query).all()
    if not rows:
        raise NotFoundError(
            f"no baseline {name} is proposed; `mlhealth baseline proposals` shows those that are"
        )
    if len(rows) > 1:
        raise ConflictError(f"baseline {name}: several proposals begin so; write more of it")
    return _proposal(rows[0])


def approve(connection: Connection, name: str, by: str, now: int, *, window: int) -> Activation:
    """Let a proposed baseline speak from the next window on.

    Raises ConflictError where it was decided before, where another baseline was activated since it was proposed, or
    where an incident is open now.
    """
    proposal = _decided(connection, name, APPROVED, by, now)
    active = active_hash(connection, proposal.model, proposal.version)
    if active != proposal.against:
        raise ConflictError(
            f"baseline {(active or '')[:12]} was activated since {proposal.hash[:12]} was proposed: compare it again"
        )
    still = [i for i in incidents(connection, proposal.model, proposal.version, now, now) if i.end is None]
    if still:
        raise ConflictError(
            f"{still[0].rule} has fired since {to_iso(still[0].start)}: a baseline is not changed in an incident"
        )
    append(connection, Entry(now, by, "baseline.approve", proposal.hash, {"against": proposal.against}))
    return baselines.activate(connection, proposal.hash, now, window=window)


def reject(connection: Connection, name: str, by: str, reason: str, now: int) -> Proposal:
    """Refuse a proposed baseline; raises ConflictError where it was decided before."""
    proposal = _decided(connection, name, REJECTED, by, now)
    append(connection, Entry(now, by, "baseline.reject", proposal.hash, {"reason": reason}))
    return get(connection, proposal.hash)


def _decided(connection: Connection, name: str, state: str, by: str, now: int) -> Proposal:
    proposal = get(connection, name)
    t = baseline_proposals.c
    change = sa.update(baseline_proposals).where(t.hash == proposal.hash, t.state == PROPOSED)
    if connection.execute(change.values(state=state, decided_by=by, decided_at=now)).rowcount != 1:
        raise ConflictError(f"baseline {proposal.hash[:12]} was {proposal.state} already")
    return proposal


def _proposal(row: Row[Any]) -> Proposal:
    return Proposal(**{name: getattr(row, name) for name in Proposal.__dataclass_fields__})
