"""Silences and maintenance windows: which alerts nobody is told of for a while, who said so, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from mlhealth.alerts.matchers import Matcher, match_all
from mlhealth.errors import ConfigError, NotFoundError
from mlhealth.quiet_hours import QuietHours
from mlhealth.store.alert_tables import outbox, silences
from mlhealth.store.audit import Entry, append


@dataclass(frozen=True)
class Silence:
    """Alerts whose labels meet all matchers are not told from `starts` to `ends` (wall time, microseconds).

    `hours`: only in these, such as `sun 02:00-04:00 Europe/Berlin`: a maintenance window that comes again.
    """

    id: str
    matchers: tuple[Matcher, ...]
    starts: int
    ends: int
    by: str
    comment: str
    created: int
    hours: str | None = None

    def until(self, now: int) -> int | None:
        """Return until when it is in force without a break; None where it is not in force now."""
        if not self.starts <= now < self.ends:
            return None
        if self.hours is None:
            return self.ends
        end = QuietHours.parse(self.hours).until(now)
        return None if end is None else min(end, self.ends)


@dataclass(frozen=True)
class NewSilence:
    """What a person asks for."""

    matchers: Sequence[Matcher]
    starts: int
    ends: int
    by: str
    comment: str
    hours: str | None = None


def add(connection: Connection, wanted: NewSilence, now: int) -> Silence:
    """Put a silence in force; raises ConfigError where it would silence everything, nothing, or has no reason."""
    if not wanted.matchers or match_all(wanted.matchers, {}):
        raise ConfigError("a silence needs a matcher that an alert without labels does not meet")
    if wanted.ends <= max(wanted.starts, now):
        raise ConfigError("a silence must end after it starts, and later than now")
    if not wanted.comment.strip() or not wanted.by.strip():
        raise ConfigError("a silence needs a comment and who asked for it, for those who wonder later")
    if wanted.hours is not None:
        _check_hours(wanted.hours)
    texts = [str(matcher) for matcher in wanted.matchers]
    seed = "\x1f".join([*texts, str(wanted.starts), str(wanted.ends), wanted.by, str(now)])
    made = Silence(
        hashlib.sha256(seed.encode()).hexdigest()[:12],
        tuple(wanted.matchers), wanted.starts, wanted.ends, wanted.by, wanted.comment, now, wanted.hours,
    )  # fmt: skip
    row = {"id": made.id, "matchers": texts, "starts": made.starts, "ends": made.ends, "by": made.by,
           "comment": made.comment, "created": now, "hours": made.hours}  # fmt: skip
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
    ends = [end for s in active if (end := s.until(now)) is not None and match_all(s.matchers, labels)]
    return max(ends, default=None)


def _check_hours(text: str) -> None:
    try:
        QuietHours.parse(text)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _silence(row: Row[Any]) -> Silence:
    matchers = tuple(Matcher.parse(text) for text in row.matchers)
    return Silence(row.id, matchers, row.starts, row.ends, row.by, row.comment, row.created, row.hours)
