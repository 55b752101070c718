"""Markers: what people or policies did to a model's versions, at a moment of its history, with a note.

A marker of kind `promote` or `rollback` also says which version is the champion: the latest such marker's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import Connection, insert, select

from mlhealth.errors import ConfigError
from mlhealth.store.audit import Entry, append
from mlhealth.store.operation_tables import markers
from mlhealth.store.tables import model_versions

Kind = Literal["deploy", "promote", "rollback", "note"]
KINDS: tuple[str, ...] = get_args(Kind)
_CROWNING = ("promote", "rollback")


@dataclass(frozen=True)
class Marker:
    """One mark: what was done to a version, when, by whom, and why."""

    model: str
    version: str
    kind: str
    at: int
    note: str
    by: str


def mark(connection: Connection, marker: Marker, now: int) -> None:
    """Add a marker, and say so in the audit trail; raises ConfigError where its kind is not known."""
    if marker.kind not in KINDS:
        raise ConfigError(f"there is no kind of marker {marker.kind}; known are {', '.join(KINDS)}")
    row = {name: getattr(marker, name) for name in Marker.__dataclass_fields__}
    connection.execute(insert(markers).values(**row, created=now))
    subject = f"{marker.model}/{marker.version}"
    detail = {"at": marker.at, "note": marker.note}
    append(connection, Entry(now, marker.by, f"version.{marker.kind}", subject, detail))


def hold(connection: Connection, model: str) -> None:
    """Let nobody else change the model's champion until the transaction ends."""
    rows = select(model_versions.c.version).where(model_versions.c.model == model).with_for_update()
    connection.execute(rows).all()


def between(connection: Connection, model: str, start: int, end: int) -> list[Marker]:
    """Return the markers of a model in a range of time, oldest first."""
    where = (markers.c.model == model, markers.c.at >= start, markers.c.at < end)
    rows = connection.execute(select(markers).where(*where).order_by(markers.c.at, markers.c.id))
    return [_marker(row) for row in rows]


@dataclass(frozen=True)
class Crowning:
    """A version that became the champion, and when (wall time)."""

    version: str
    created: int


def crowned(connection: Connection, model: str) -> list[Crowning]:
    """Return every time that a version became the champion, the newest first."""
    where = (markers.c.model == model, markers.c.kind.in_(_CROWNING))
    query = select(markers.c.version, markers.c.created).where(*where).order_by(markers.c.id.desc())
    return [Crowning(row.version, row.created) for row in connection.execute(query)]


def champions(connection: Connection, model: str) -> list[str]:
    """Return the versions that were champion, the present one first."""
    return [crowning.version for crowning in crowned(connection, model)]


def _marker(row: object) -> Marker:
    names: Sequence[str] = tuple(Marker.__dataclass_fields__)
    return Marker(**{name: getattr(row, name) for name in names})
