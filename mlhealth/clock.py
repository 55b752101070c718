"""Time as a parameter: microseconds since the Unix epoch, UTC, as a plain integer.

Event time comes from the events; a `Clock` only says *when to look*.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from mlhealth.errors import ConfigError

Micros = int

SECOND: int = 1_000_000
MINUTE: int = 60 * SECOND
HOUR: int = 60 * MINUTE
DAY: int = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"ms": 1_000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}


class Clock(Protocol):
    """Tells wall time; tests pass one that they move by hand."""

    def now(self) -> int:
        """Return microseconds since the epoch."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, now: int = 0) -> None:
        self._now = now

    def now(self) -> int:
        return self._now

    def advance(self, micros: int) -> None:
        """Move forward by `micros` (backward when negative: a clock may be set back)."""
        self._now += micros


def parse_duration(text: str) -> int:
    """Return microseconds of a duration such as `90d`, `1h`, `15m`, `30s`, `500ms`.

    >>> parse_duration("15m") // SECOND
    900
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*", text)
    if match is None or float(match[1]) <= 0:
        raise ConfigError(
            f"duration {text!r} is not understood; write a number and a unit, such as 30s, 15m, 1h, 90d"
        )
    return round(float(match[1]) * _UNITS[match[2]])


def format_duration(micros: int) -> str:
    """Return the shortest exact text that `parse_duration` reads back.

    >>> format_duration(2 * HOUR)
    '2h'
    """
    for unit in ("w", "d", "h", "m", "s", "ms"):
        if micros >= _UNITS[unit] and micros % _UNITS[unit] == 0:
            return f"{micros // _UNITS[unit]}{unit}"
    return f"{micros / SECOND:g}s"


def to_datetime(micros: int) -> datetime:
    """Return the aware UTC datetime of `micros`."""
    return _EPOCH + timedelta(microseconds=micros)


def from_datetime(moment: datetime) -> int:
    """Return microseconds since the epoch; a naive datetime is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def to_iso(micros: int) -> str:
    """Return ISO 8601 in UTC with a trailing Z.

    >>> to_iso(0)
    '1970-01-01T00:00:00Z'
    """
    return to_datetime(micros).isoformat().replace("+00:00", "Z")


def to_minute(micros: int) -> str:
    """Return a moment as people read it, to the minute.

    >>> to_minute(0)
    '1970-01-01 00:00 UTC'
    """
    return f"{to_datetime(micros):%Y-%m-%d %H:%M} UTC"


def from_iso(text: str) -> int:
    """Return microseconds of an ISO 8601 text; without an offset it is taken as UTC."""
    try:
        return from_datetime(datetime.fromisoformat(text.strip()))
    except ValueError:
        raise ConfigError(f"time {text!r} is not ISO 8601; write it like 2026-01-31T12:00:00Z") from None
