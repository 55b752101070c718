"""Since when a column has been at fault, from window to window."""

from __future__ import annotations

from collections.abc import Mapping

from mlhealth.clock import DAY, to_iso
from mlhealth.records import WindowReport

EARLIEST = 100 * DAY
"""Windows that start before this (in 1970) were cut by rows and carry row numbers."""


def onsets(report: WindowReport, before: Mapping[str, int]) -> dict[str, int]:
    """Return by column at fault the start of the first window of the run in which it is; `before`: a window ago."""
    at_fault = {fault.column for fault in report.faults}
    at_fault |= {name for name, quality in report.quality.items() if quality.faults}
    return {name: before.get(name, report.key.start) for name in sorted(at_fault)}


def in_words(start: int, end: int) -> str:
    """Return when a run of windows began, as short as can be told from a window that ends at `end` (UTC).

    >>> in_words(20_000 * DAY, 20_000 * DAY + 1), in_words(19_999 * DAY, 20_000 * DAY), in_words(4_000, 6_000)
    ('00:00', '2024-10-03 00:00', 'row 4,000')
    """
    if start < EARLIEST:
        return f"row {start:,}"
    day, clock = to_iso(start)[:10], to_iso(start)[11:16]
    return clock if to_iso(end)[:10] == day else f"{day} {clock}"
