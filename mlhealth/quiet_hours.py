"""Hours of the day in which something had better not begin, in a zone's own time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mlhealth.clock import to_datetime

_TEXT = re.compile(r"\s*(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)(?:\s+(\S+))?\s*")


@dataclass(frozen=True)
class QuietHours:
    """From `start` to `end`, in minutes after midnight of `zone`; an end before the start is of the next day."""

    start: int
    end: int
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str) -> QuietHours:
        """Read `22:00-06:00 Europe/Berlin`; without a zone it is UTC. Raises ValueError.

        >>> QuietHours.parse("22:00-06:30").end
        390
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} are no quiet hours; write such as 22:00-06:00 Europe/Berlin")
        try:
            zone = ZoneInfo(match[5] or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"there is no time zone {match[5]}") from None
        start, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
        if max(start, end) > 24 * 60 or max(int(match[2]), int(match[4])) > 59 or start == end:
            raise ValueError(f"{text!r} are no quiet hours; write such as 22:00-06:00 Europe/Berlin")
        return cls(start, end, zone)

    def until(self, now: int) -> int | None:
        """Return when the quiet hours that `now` (microseconds) lies in end; None where it lies in none."""
        local = to_datetime(now).astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        if self.start < self.end:
            return self._at(local, 0) if self.start <= minute < self.end else None
        if minute >= self.start:
            return self._at(local, 1)
        return self._at(local, 0) if minute < self.end else None

    def _at(self, local: datetime, days: int) -> int:
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)
        wall = midnight.replace(tzinfo=None) + timedelta(minutes=self.end)
        return round(wall.replace(tzinfo=self.zone).timestamp() * 1_000_000)
