"""Silences and maintenance windows: which alerts nobody is told of for a while, who said so, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from mlhealth.alerts.matchers import Matcher, match_all
from mlhealth.errors import ConfigError, NotFoundError
from mlhealth.store.alert_tables import outbox, silences
from mlhealth.store.audit import Entry, append


@dataclass(frozen=True)
class Silence:
    """Alerts whose labels meet all matchers are not told from `starts` to `ends` (wall time, microseconds)."""

    id: str
    matchers: tuple[Matcher, ...]
    starts: int
    ends: int
    by: str
    comment: str
    created: int

    def active(self, now: int) -> bool:
        """Return whether it is in force."""
        return self.starts <= now < self.ends


@dataclass(frozen=True)
class NewSilence:
    """What a person asks for."""

    matchers: Sequence[Matcher]
    starts: int
    ends: int
    by: str
    comment: str


def add(connection: Connection, wanted: NewSilence, now: int) -> Silence:
    """Put a silence in force; raises ConfigError where it would silence everything, nothing, or has no reason."""
    if not wanted.matchers or match_all(wanted.matchers, {}):
        raise ConfigError("a silence needs a matcher that an alert without labels does not meet")
    if wanted.ends <= max(wanted.starts, now):
        raise ConfigError("a silence must end after it starts, and later than now")
    if not wanted.comment.strip() or not wanted.by.strip():
        raise ConfigError("a silence needs a comment and who asked for it, for those who wonder later")
    texts = [str(matcher) for matcher in wanted.matchers]
    seed = "\x1f".join([*texts, str(wanted.starts), str(wanted.ends), wanted.by, str(now)])
    made = Silence(
        hashlib.sha256(seed.encode()).hexdigest()[:12],
        tuple(wanted.matchers), wanted.starts, wanted.ends, wanted.by, wanted.comment, now,
    )  # fmt: skip
    row = {"id": made.id, "matchers": texts, "starts": made.starts, "ends": made.ends, "by": made.by,
           "comment": made.comment, "created": now}  # fmt: skip
    connection.execute(insert(silences).values(row))
    append(connection, Entry(now, made.by, "silence.add", made.id, row | {"created": now}))
    return made


def expire(connection: Connection, id_: str, by: str, now: int) -> None:
    """End a silence now; what it held back is told at once. Raises NotFoundError."""
    found = connection.execute(
        update(silences).where(silences.c.id == id_, silences.c.ends > now).values(ends=now)
    ).rowcount
    if not found:
        raise NotFoundError(f"there is no silence {id_} in force or to come")
    connection.execute(
        update(outbox).where(outbox.c.state == "pending", outbox.c.note == "silenced").values(next_at=now)
    )
    append(connection, Entry(now, by, "silence.expire", id_, {}))


def current(connection: Connection, now: int) -> list[Silence]:
    """Return the silences in force or to come, by their start."""
    rows = connection.execute(select(silences).where(silences.c.ends > now).order_by(silences.c.starts))
    return [_silence(row) for row in rows]


def silenced_until(active: Sequence[Silence], labels: Mapping[str, str], now: int) -> int | None:
    """Return until when these labels are silenced, or None."""
    ends = [s.ends for s in active if s.active(now) and match_all(s.matchers, labels)]
    return max(ends, default=None)


def _silence(row: Row[Any]) -> Silence:
    matchers = tuple(Matcher.parse(text) for text in row.matchers)
    return Silence(row.id, matchers, row.starts, row.ends, row.by, row.comment, row.created)
