"""The fleet: every model version on a line, the one that needs a person most on top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mlhealth.dashboards.wording import is_percent, metric_value
from mlhealth.queries import ReportLine, VersionSummary

HARM = ("critical", "degraded", "unknown", "healthy")
"""Statuses by how soon a person should look."""


@dataclass(frozen=True)
class Overview:
    """What the overview shows: the chosen lines, and how many there are of each status."""

    lines: tuple[VersionSummary, ...]
    counts: dict[str, int]
    total: int
    search: str
    status: str


def overview(versions: Sequence[VersionSummary], search: str = "", status: str = "") -> Overview:
    """Return the versions whose name holds `search` and whose status is `status`, sorted by harm."""
    counts = Counter(status_of(version) for version in versions)
    wanted = search.strip().casefold()
    chosen = [v for v in versions if wanted in f"{v.model} {v.version}".casefold()]
    chosen = [v for v in chosen if not status or status_of(v) == status]
    return Overview(
        tuple(sorted(chosen, key=_harm)),
        {name: counts[name] for name in HARM},
        len(versions),
        search.strip(),
        status,
    )


def status_of(version: VersionSummary) -> str:
    """Return the status of a version's newest window, `unknown` before the first."""
    return version.latest.status if version.latest else "unknown"


def value_text(line: ReportLine) -> str:
    """Return the primary metric's estimate."""
    return metric_value(line.metric, line.value)


def interval_text(line: ReportLine) -> str:
    """Return the estimate's interval without its unit."""
    low, high = (metric_value(line.metric, bound).removesuffix(" %") for bound in (line.lower, line.upper))
    return f"{low} – {high}"


def reference_text(line: ReportLine) -> str:
    """Return the metric's value on the reference."""
    return metric_value(line.metric, line.reference)


def change_text(line: ReportLine) -> str:
    """Return how far the estimate lies from the reference: percentage points, or a share of it for other metrics."""
    if line.value is None or line.reference is None:
        return "–"
    difference = line.value - line.reference
    if is_percent(line.metric):
        return f"{100 * difference:+.1f} pp"
    return f"{100 * difference / abs(line.reference):+.1f} %" if line.reference else "–"


def _harm(version: VersionSummary) -> tuple[bool, int, int, float, str, str]:
    """Return the sort key: retired ones last, then by status, firing alerts and score."""
    score = version.latest.score if version.latest and version.latest.score is not None else 101.0
    order = HARM.index(status_of(version))
    return (version.state == "retired", order, -version.firing, score, version.model, version.version)
