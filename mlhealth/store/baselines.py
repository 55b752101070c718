"""Baselines in the store: pushed once, named by their content, activated from an event time on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from mlhealth.baseline import files as baseline_files
from mlhealth.baseline.record import Baseline
from mlhealth.errors import ConflictError, NotFoundError
from mlhealth.store import audit
from mlhealth.store.database import insert_missing
from mlhealth.store.tables import baseline_activations, baselines, model_versions, watermarks

ALWAYS = 0
"""Effective start of a version's first baseline: it speaks for every window."""


@dataclass(frozen=True)
class StoredBaseline:
    """A baseline as the list shows it."""

    hash: str
    model: str
    version: str
    summary: Mapping[str, Any]
    created: int


@dataclass(frozen=True)
class Activation:
    """From `start` (event time) on, `baseline` speaks for a model version; the row with the highest `id` wins."""

    id: int
    model: str
    version: str
    baseline: str
    start: int
    created: int


def push(connection: Connection, baseline: Baseline, now: int) -> str:
    """Store a baseline and return its hash; pushing the same again changes nothing."""
    schema = baseline.schema
    row = {
        "hash": baseline.hash,
        "model": schema.model,
        "version": schema.version,
        "blob": baseline_files.to_bytes(baseline),
        "summary": _summary(baseline),
        "created": now,
    }
    insert_missing(connection, baselines, [row])
    expected = {"model": schema.model, "version": schema.version, "state": "expected", "created": now}
    insert_missing(connection, model_versions, [expected])
    return baseline.hash


def activate(
    connection: Connection, name: str, now: int, *, start: int | None = None, window: int = 1, by: str = ""
) -> Activation:
    """Let a baseline speak from `start` on, and return the row; who said so (`by`) is in the audit trail.

    `name` is a hash or an unambiguous beginning of one. Without `start`, a version's first baseline speaks for every
    window, and a later one from the next window on, by the event time reached so far.
    """
    found = find(connection, name)
    if start is None:
        start = _next_start(connection, found, window)
    row = {"model": found.model, "version": found.version, "baseline": found.hash, "created": now}
    result = connection.execute(sa.insert(baseline_activations).values(effective_start=start, **row))
    subject, detail = f"{found.model}/{found.version}", {"baseline": found.hash, "start": start}
    audit.append(connection, audit.Entry(now, by or "mlhealth", "baseline.activate", subject, detail))
    key = result.inserted_primary_key
    return Activation(int(key[0]) if key else 0, found.model, found.version, found.hash, start, now)


def find(connection: Connection, name: str) -> StoredBaseline:
    """Return the baseline whose hash begins with `name`; raises NotFoundError, or ConflictError for several."""
    rows = connection.execute(
        _listing().where(baselines.c.hash.startswith(name, autoescape=True)).limit(2)
    ).all()
    if not rows:
        raise NotFoundError(f"baseline {name}: not in the store; push it first (mlhealth baseline push DIR)")
    if len(rows) > 1:
        raise ConflictError(f"baseline {name}: several hashes begin so; write more of it")
    return StoredBaseline(*rows[0])


def listed(connection: Connection) -> list[StoredBaseline]:
    """Return every baseline, oldest first."""
    return [StoredBaseline(*row) for row in connection.execute(_listing().order_by(baselines.c.created))]


def activations(connection: Connection) -> list[Activation]:
    """Return every activation in the order in which they were made."""
    t = baseline_activations.c
    columns = (t.id, t.model, t.version, t.baseline, t.effective_start, t.created)
    return [Activation(*row) for row in connection.execute(sa.select(*columns).order_by(t.id))]


def is_active(connection: Connection, name: str) -> bool:
    """Return whether the baseline of this hash speaks for any window."""
    t = baseline_activations.c
    return connection.execute(sa.select(t.id).where(t.baseline == name).limit(1)).first() is not None


def latest_activation(connection: Connection) -> int:
    """Return the highest id of an activation, 0 where there is none; changes when any is made."""
    return int(
        connection.execute(
            sa.select(sa.func.coalesce(sa.func.max(baseline_activations.c.id), 0))
        ).scalar_one()
    )


def load(connection: Connection, name: str) -> Baseline:
    """Return a baseline by its whole hash; raises NotFoundError."""
    blob = connection.execute(sa.select(baselines.c.blob).where(baselines.c.hash == name)).scalar()
    if blob is None:
        raise NotFoundError(f"baseline {name}: not in the store; push it first (mlhealth baseline push DIR)")
    return baseline_files.from_bytes(blob, f"baseline {name[:12]}")


def _listing() -> sa.Select[Any]:
    t = baselines.c
    return sa.select(t.hash, t.model, t.version, t.summary, t.created)


def _next_start(connection: Connection, found: StoredBaseline, window: int) -> int:
    t = baseline_activations.c
    known = connection.execute(
        sa.select(t.id).where(t.model == found.model, t.version == found.version).limit(1)
    )
    if known.first() is None:
        return ALWAYS
    w = watermarks.c
    reached = connection.execute(
        sa.select(sa.func.max(w.event_time)).where(w.model == found.model, w.version == found.version)
    ).scalar()
    return ALWAYS if reached is None else int(reached) - int(reached) % window + window


def _summary(baseline: Baseline) -> dict[str, Any]:
    return {
        "task": baseline.schema.task.value,
        "primary": baseline.primary,
        "metrics": {name: metric.value for name, metric in baseline.metrics.items()},
        "rows": baseline.reference.rows,
        "features": len(baseline.schema.features),
        "mode": baseline.mode,
    }
