"""The versions of a model: which one answers, and two of them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlhealth.dashboards import drawings
from mlhealth.dashboards.web.chart import Chart
from mlhealth.dashboards.web.model_page import DRAWN, worst
from mlhealth.dashboards.web.periods import known, period
from mlhealth.dashboards.wording import difference_of, metric_name, metric_value
from mlhealth.errors import NotFoundError
from mlhealth.queries.reports import Period, Queries, ReportLine, VersionSummary
from mlhealth.queries.versions import FOREVER, VersionLine, Versus, compare, versions
from mlhealth.store.markers import Marker, between, champions
from mlhealth.versions.comparison import BETTER, SAME, WORSE, Comparison

COMPARED = 48
"""Windows that are compared at most, the newest that both versions have."""


@dataclass(frozen=True)
class VersusView:
    """What the page's address asks for: which two versions ("" leaves the choice to the page), which period."""

    champion: str = ""
    challenger: str = ""
    range: str = ""


@dataclass(frozen=True)
class Line:
    """One version: its life, and how it does."""

    life: VersionLine
    summary: VersionSummary


@dataclass(frozen=True)
class VersionsPage:
    """What the page shows; `comparison` is None where two versions have no windows in common."""

    model: str
    lines: tuple[Line, ...]
    champion: str
    challenger: str
    range: str
    comparison: Comparison | None
    verdict: str
    tone: str
    charts: tuple[Chart, ...]
    markers: tuple[Marker, ...]
    may_roll_back: bool


def versions_page(queries: Queries, model: str, view: VersusView) -> VersionsPage:
    """Return the page of a model's versions; raises NotFoundError where the model is not known."""
    lives = {life.version: life for life in versions(queries.database, model)}
    lines = tuple(Line(lives[s.version], s) for s in queries.versions(model) if s.version in lives)
    champion, challenger = _pair(lines, view)
    chosen = known(view.range or "30d")
    newest = max((s.summary.latest.end for s in lines if s.summary.latest), default=None)
    asked = period(chosen, newest)
    comparison = _compared(queries, Versus(model, champion, challenger, *_ends(asked), limit=COMPARED))
    with queries.database.read() as connection:
        marked = between(connection, model, 0, FOREVER)
        crowned = champions(connection, model)
    return VersionsPage(
        model=model,
        lines=tuple(sorted(lines, key=lambda line: -line.life.created)),
        champion=champion,
        challenger=challenger,
        range=chosen,
        comparison=comparison,
        verdict=verdict(comparison, champion, challenger),
        tone=_TONES.get(comparison.verdict if comparison else "", "unknown"),
        charts=_charts(queries, model, (champion, challenger), asked, comparison),
        markers=tuple(reversed(marked)),
        may_roll_back=len(set(crowned)) > 1,
    )


_TONES = {BETTER: "healthy", WORSE: "critical", SAME: "unknown"}


def verdict(comparison: Comparison | None, champion: str, challenger: str) -> str:
    """Return what a comparison comes to, in one sentence."""
    if not challenger:
        return "There is one version only: nothing to compare it with."
    if comparison is None or not comparison.windows:
        return f"Versions {champion} and {challenger} have no window in common in this period."
    found = comparison.metrics.get(comparison.metric)
    said = {
        BETTER: f"Version {challenger} does better than version {champion}",
        WORSE: f"Version {challenger} does worse than version {champion}",
        SAME: f"Versions {champion} and {challenger} cannot be told apart",
    }.get(comparison.verdict)
    if said is None or found is None:
        return f"How versions {champion} and {challenger} compare is unknown."
    return f"{said}: {metric_name(comparison.metric)} {difference_of(found)}."


def _pair(lines: Sequence[Line], view: VersusView) -> tuple[str, str]:
    """Return champion and challenger: as asked for, else who was promoted or is oldest, and the newest other."""
    names = [line.life.version for line in lines]
    by_age = sorted(lines, key=lambda line: line.life.created)
    ranked = sorted(by_age, key=lambda line: (not line.life.is_champion, line.life.state != "live"))
    champion = view.champion if view.champion in names else ranked[0].life.version
    others = [line.life.version for line in reversed(by_age) if line.life.version != champion]
    challenger = view.challenger if view.challenger in others else (others or [""])[0]
    return champion, challenger


def _ends(asked: Period) -> tuple[int, int]:
    return asked.start or 0, FOREVER if asked.end is None else asked.end


def _compared(queries: Queries, versus: Versus) -> Comparison | None:
    if not versus.challenger:
        return None
    try:
        return compare(queries.database, versus)
    except NotFoundError:
        return None


def _charts(
    queries: Queries, model: str, pair: tuple[str, str], asked: Period, comparison: Comparison | None
) -> tuple[Chart, ...]:
    drawn = {name: _thinned(queries.lines(model, name, asked)) for name in pair if name}
    metric = next((line.metric for lines in drawn.values() for line in lines), "")
    if not metric:
        return ()
    told = "; ".join(
        f"version {name}: {metric_value(metric, lines[-1].value)}" for name, lines in drawn.items() if lines
    )
    charts = [
        Chart.of(
            drawings.versions_figure(drawn, metric),
            f"Estimated {metric_name(metric)}",
            f"Estimated {metric_name(metric)} of each version by window; the latest: {told}.",
            "Lines are estimates, strokes their 90 % intervals.",
            wide=True,
        )
    ]
    if comparison is None or not comparison.windows:
        return tuple(charts)
    share = comparison.disagreement.share if comparison.disagreement else None
    said = "unknown" if share is None else f"{share:.1%} of the events that both answered"
    return (
        *charts,
        Chart.of(
            drawings.difference_figure(comparison),
            "Challenger less champion",
            verdict(comparison, *pair),
            "By window, with 90 % intervals; grey where the interval holds zero.",
        ),
        Chart.of(
            drawings.disagreement_figure(comparison),
            "How differently they answer",
            f"Answered differently: {said}.",
            "Jensen-Shannon distance of all answers (0 to 1), and the share of events answered differently.",
        ),
    )


def _thinned(lines: Sequence[ReportLine]) -> list[ReportLine]:
    return worst(lines, max(1, -(-len(lines) // DRAWN)))
