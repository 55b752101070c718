"""The fleet: every model version on a line, the one that needs a person most on top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlhealth.dashboards.wording import higher_is_better, is_percent, metric_value
from mlhealth.queries.reports import Queries, ReportLine, VersionSummary

HARM = ("critical", "degraded", "unknown", "healthy", "retired")
"""Statuses by how soon a person should look."""
EXPLAINED = 30
"""Versions whose reason is told, the ones that need a person first."""


@dataclass(frozen=True)
class Overview:
    """What the overview shows: the chosen lines, and how many there are of each status."""

    lines: tuple[VersionSummary, ...]
    counts: dict[str, int]
    total: int
    search: str
    status: str
    sort: str = "harm"


def overview(
    versions: Sequence[VersionSummary], search: str = "", status: str = "", sort: str = "harm"
) -> Overview:
    """Return the versions whose name holds `search` and whose status is `status`; an unknown `sort` is by harm."""
    counts = Counter(status_of(version) for version in versions)
    wanted = search.strip().casefold()
    chosen = [v for v in versions if wanted in f"{v.model} {v.version}".casefold()]
    chosen = [v for v in chosen if not status or status_of(v) == status]
    return Overview(
        tuple(sorted(chosen, key=SORTS.get(sort, _harm))),
        {name: counts[name] for name in HARM},
        len(versions),
        search.strip(),
        status,
        sort if sort in SORTS else "harm",
    )


def status_of(version: VersionSummary) -> str:
    """Return the status of a version's newest window, `unknown` before the first; a retired one has no other."""
    if version.state == "retired":
        return "retired"
    return version.latest.status if version.latest else "unknown"


def reasons(queries: Queries, view: Overview) -> dict[tuple[str, str], str]:
    """Return the first reason of each version shown that is not well, by model and version."""
    wanted = [v for v in view.lines if v.latest and status_of(v) in {"critical", "degraded", "unknown"}]
    return queries.first_reasons(
        [(v.model, v.version, v.latest.start) for v in wanted[:EXPLAINED] if v.latest]
    )


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


def _harm(version: VersionSummary) -> tuple[int, int, float, str, str]:
    """Return the sort key: by status, firing alerts and score."""
    score = version.latest.score if version.latest and version.latest.score is not None else 101.0
    order = HARM.index(status_of(version))
    return (order, -version.firing, score, version.model, version.version)


def _change(version: VersionSummary) -> tuple[bool, float, str, str]:
    """Return the sort key by loss against the reference as a share of it, the largest first."""
    line = version.latest
    names = (version.model, version.version)
    if line is None or line.value is None or not line.reference:
        return (True, 0.0, *names)
    gain = (line.value - line.reference) / abs(line.reference)
    return (False, gain if higher_is_better(line.metric) else -gain, *names)


def _score(version: VersionSummary) -> tuple[bool, float, str, str]:
    score = version.latest.score if version.latest else None
    return (score is None, score or 0.0, version.model, version.version)


def _name(version: VersionSummary) -> tuple[str, str]:
    return (version.model.casefold(), version.version)


def _rows(version: VersionSummary) -> tuple[int, str, str]:
    return (-(version.latest.rows if version.latest else 0), version.model, version.version)


def _newest(version: VersionSummary) -> tuple[int, str, str]:
    return (-(version.latest.end if version.latest else 0), version.model, version.version)


SORTS: dict[str, Callable[[VersionSummary], tuple[object, ...]]] = {
    "harm": _harm,
    "name": _name,
    "score": _score,
    "change": _change,
    "rows": _rows,
    "newest": _newest,
}
"""Ways to sort the fleet, as they stand in the address."""
