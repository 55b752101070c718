"""Hours of the day, on all days or some of the week, in a zone's own time: when something had better be quiet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mlhealth.clock import to_datetime

_TEXT = re.compile(
    r"\s*(?:(?P<days>[a-z]{3}(?:[-,][a-z]{3})*)\s+)?(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)(?:\s+(\S+))?\s*",
    re.IGNORECASE,
)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True)
class QuietHours:
    """From `start` to `end`, in minutes after midnight of `zone`; an end before the start is of the next day.

    `days`: on which they begin, 0 for Monday.
    """

    start: int
    end: int
    zone: ZoneInfo
    days: frozenset[int] = _EVERY_DAY

    @classmethod
    def parse(cls, text: str) -> QuietHours:
        """Read `22:00-06:00 Europe/Berlin` or `sat-sun 02:00-04:00`; without a zone it is UTC. Raises ValueError.

        >>> QuietHours.parse("22:00-06:30").end
        390
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} are no quiet hours; write such as 22:00-06:00 Europe/Berlin")
        try:
            zone = ZoneInfo(match[6] or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"there is no time zone {match[6]}") from None
        start, end = int(match[2]) * 60 + int(match[3]), int(match[4]) * 60 + int(match[5])
        if max(start, end) > 24 * 60 or max(int(match[3]), int(match[5])) > 59 or start == end:
            raise ValueError(f"{text!r} are no quiet hours; write such as 22:00-06:00 Europe/Berlin")
        return cls(start, end, zone, _days(match["days"] or ""))

    def until(self, now: int) -> int | None:
        """Return when the quiet hours that `now` (microseconds) lies in end; None where it lies in none."""
        local = to_datetime(now).astimezone(self.zone)
        minute, today = local.hour * 60 + local.minute, local.weekday()
        over_night = self.end <= self.start
        if today in self.days and minute >= self.start and (over_night or minute < self.end):
            return self._at(local, int(over_night))
        yesterday = (today - 1) % 7
        return self._at(local, 0) if over_night and yesterday in self.days and minute < self.end else None

    def _at(self, local: datetime, days: int) -> int:
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)
        wall = midnight.replace(tzinfo=None) + timedelta(minutes=self.end)
        return round(wall.replace(tzinfo=self.zone).timestamp() * 1_000_000)


def _days(text: str) -> frozenset[int]:
    """Return the days of the week of `mon-fri` or `sat,sun`; all of them of nothing. Raises ValueError.

    >>> sorted(_days("sat-mon,wed"))
    [0, 2, 5, 6]
    """
    found: set[int] = set()
    for part in text.lower().split(",") if text else ("mon-sun",):
        first, _, last = part.partition("-")
        for name in (first, last or first):
            if name not in _DAYS:
                raise ValueError(f"there is no day {name}; known are {', '.join(_DAYS)}")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, end + 1 + 7 * (end < begin))}
    return frozenset(found)
