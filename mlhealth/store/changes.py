"""What a configuration says, kept in the audit trail: each time it says something else, one entry tells what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from mlhealth.store.alert_tables import audit
from mlhealth.store.audit import Entry, append


@dataclass(frozen=True)
class Said:
    """What is said of a subject, by part; JSON-able. `sources`: the files that say it."""

    action: str
    subject: str
    parts: Mapping[str, Any]
    sources: tuple[str, ...] = ()


def note(connection: Connection, said: Said, now: int) -> bool:
    """Add an entry where the subject says something else than at the last entry; return whether it does."""
    digests = {name: _digest(part) for name, part in said.parts.items()}
    known = _known(connection, said)
    if known == digests:
        return False
    before = known or {}
    detail = {
        "digests": digests,
        "added": {name: part for name, part in said.parts.items() if name not in before},
        "changed": {
            name: part
            for name, part in said.parts.items()
            if name in before and before[name] != digests[name]
        },
        "removed": sorted(before.keys() - digests.keys()),
        "sources": list(said.sources),
    }
    append(connection, Entry(now, "configuration", said.action, said.subject, detail))
    return True


def _known(connection: Connection, said: Said) -> dict[str, str] | None:
    query = (
        select(audit.c.detail)
        .where(audit.c.action == said.action, audit.c.subject == said.subject)
        .order_by(audit.c.seq.desc())
        .limit(1)
    )
    found = connection.execute(query).scalar()
    return None if found is None else json.loads(found)["digests"]


def _digest(part: Any) -> str:
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16]
