"""A feature's page: since when it has moved, how it lies now beside the baseline, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlhealth.dashboards import drawings
from mlhealth.dashboards.web.chart import Chart
from mlhealth.dashboards.web.feature_lines import FeatureLine
from mlhealth.dashboards.web.model_page import DRAWN, worst
from mlhealth.dashboards.web.periods import known, period
from mlhealth.dashboards.web.window_page import distribution
from mlhealth.dashboards.wording import column_name, number
from mlhealth.errors import NotFoundError
from mlhealth.queries.reports import Queries, VersionSummary
from mlhealth.records import ColumnFault, Cost, WindowReport

LISTED = 24
"""Windows in the table."""


@dataclass(frozen=True)
class FeatureView:
    """What the page's address asks for: which period, and whose distribution (a window's start; 0: the newest)."""

    range: str = ""
    window: int = 0


@dataclass(frozen=True)
class FeaturePage:
    """What the page shows; `shown` is the window whose distribution is drawn."""

    summary: VersionSummary
    name: str
    kind: str
    range: str
    shown: WindowReport
    line: FeatureLine
    faults: tuple[ColumnFault, ...]
    costs: tuple[Cost, ...]
    charts: tuple[Chart, ...]
    windows: tuple[WindowReport, ...]
    others: tuple[str, ...]
    stride: int


def feature_page(queries: Queries, model: str, version: str, name: str, view: FeatureView) -> FeaturePage:
    """Return the page of a feature; raises NotFoundError where no window of the period knows it."""
    summary = queries.version(model, version)
    chosen = known(view.range)
    newest = summary.latest.end if summary.latest else None
    lines = queries.lines(model, version, period(chosen, newest))
    stride = max(1, -(-len(lines) // DRAWN))
    drawn = {line.start for line in worst(lines, stride)} | {line.start for line in lines[-LISTED:]}
    reports = [
        r for r in queries.reports_at(model, version, drawn | {view.window} - {0}) if name in _names(r)
    ]
    if not reports:
        raise NotFoundError(f"model {model!r} version {version!r} has no feature {name!r} in this period")
    shown = next((r for r in reports if r.key.start == view.window), reports[-1])
    return FeaturePage(
        summary=summary,
        name=name,
        kind=_kind(queries, shown, name),
        range=chosen,
        shown=shown,
        line=FeatureLine(name, shown.drift.get(name), shown.quality.get(name)),
        faults=tuple(fault for fault in shown.faults if fault.column == name),
        costs=tuple(cost for cost in shown.costs if name in cost.features),
        charts=_charts(queries, reports, shown, name),
        windows=tuple(reversed(reports[-LISTED:])),
        others=tuple(n for n in _names(reports[-1]) if n != name),
        stride=stride,
    )


def _names(report: WindowReport) -> list[str]:
    return list(dict.fromkeys([*report.quality, *report.drift]))


def _kind(queries: Queries, report: WindowReport, name: str) -> str:
    view = queries.baseline_view(report.baseline)
    features = view.schema.features if view else ()
    return next((str(feature.type) for feature in features if feature.name == name), "")


def _charts(
    queries: Queries, reports: Sequence[WindowReport], shown: WindowReport, name: str
) -> tuple[Chart, ...]:
    label = column_name(name)
    result = shown.drift.get(name)
    last = (
        "unknown" if result is None else f"{number(result.statistic)}, threshold {number(result.threshold)}"
    )
    charts = [
        Chart.of(
            drawings.feature_drift_figure(reports, name),
            "Drift",
            f"Drift of {label} by window; in the window shown {last}.",
            "Statistic ÷ threshold; above 1 it has moved more than windows of the reference do.",
        ),
        Chart.of(
            drawings.feature_quality_figure(reports, name),
            "Quality",
            f"Shares of values of {label} that were missing, unknown, out of range or not finite, by window.",
            "Share of the window's rows.",
        ),
    ]
    profiles = queries.profiles(shown)
    if profiles is not None and name in profiles[0].layout.bins:
        charts.append(distribution(name, *profiles))
    return tuple(charts)
