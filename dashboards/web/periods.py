"""The periods a page can show, as they stand in its address; they end at the newest window, not at the wall clock."""

from __future__ import annotations

from mlhealth.clock import DAY
from mlhealth.queries.reports import Period

RANGES: dict[str, int | None] = {"24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "90d": 90 * DAY, "all": None}
DEFAULT = "7d"
REFRESHES = (0, 10, 30, 60)
"""Seconds between refreshes that a page offers; 0 is off."""


def period(name: str, newest: int | None) -> Period:
    """Return the period called `name` up to `newest`, the end of the newest window; an unknown name is the default.

    >>> period("24h", 3 * DAY) == Period(2 * DAY, 3 * DAY)
    True
    """
    length = RANGES.get(name, RANGES[DEFAULT])
    return Period(None if length is None or newest is None else newest - length, newest)


def known(name: str) -> str:
    """Return `name` where it is a range, else the default."""
    return name if name in RANGES else DEFAULT
