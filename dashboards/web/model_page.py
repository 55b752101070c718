"""A model version's page: how it does, since when, what changed, and what was done about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlhealth.causes.owners import whom_to_call
from mlhealth.dashboards import drawings
from mlhealth.dashboards.web.chart import Chart
from mlhealth.dashboards.web.feature_lines import FeatureLine, feature_lines
from mlhealth.dashboards.web.periods import known, period
from mlhealth.dashboards.wording import estimate_text, headline, metric_name
from mlhealth.labels.track_record import TrackRecord
from mlhealth.queries.alerts import AlertLine, Of, RetrainingLine
from mlhealth.queries.reports import Period, Queries, ReportLine, VersionSummary
from mlhealth.queries.versions import FOREVER
from mlhealth.records import Alert, AlertState, HealthStatus, RetrainingRequest, WindowReport
from mlhealth.store.markers import Marker, between

LISTED = 24
"""Windows in the table."""
SHOWN_FEATURES = 40
"""Features that the page links to."""
DRAWN = 240
"""Windows in a chart; of a longer period, each point is the worst of several in a row."""


@dataclass(frozen=True)
class View:
    """What a page's address asks for: which period, which metric."""

    range: str = ""
    metric: str = ""


@dataclass(frozen=True)
class ModelPage:
    """What the page shows."""

    summary: VersionSummary
    latest: WindowReport | None
    range: str
    metric: str
    metrics: tuple[str, ...]
    charts: tuple[Chart, ...]
    windows: tuple[WindowReport, ...]
    shown: int
    stride: int
    alerts: tuple[AlertLine, ...]
    retrainings: tuple[RetrainingLine, ...]
    features: tuple[FeatureLine, ...]
    track: tuple[TrackRecord, ...]
    advice: str
    findings: tuple[str, ...]


def model_page(queries: Queries, model: str, version: str, view: View) -> ModelPage:
    """Return the page of a model version; raises NotFoundError where it is not known."""
    summary = queries.version(model, version)
    chosen = known(view.range)
    newest = summary.latest.end if summary.latest else None
    lines = queries.lines(model, version, period(chosen, newest))
    stride = max(1, -(-len(lines) // DRAWN))
    drawn, listed = (
        frozenset(line.start for line in part) for part in (worst(lines, stride), lines[-LISTED:])
    )
    loaded = queries.reports_at(model, version, drawn | listed)
    latest = loaded[-1] if loaded else None
    reports = [report for report in loaded if report.key.start in drawn]
    metrics = shown_metrics(latest)
    metric = view.metric if view.metric in metrics else (latest.health.metric if latest else "")
    of = Of(model, version)
    retrainings = queries.alerts.retrainings(of, limit=20)
    episodes = _within(queries.alerts.episodes(of), period(chosen, newest))
    with queries.database.read() as connection:
        marked = between(connection, model, 0, FOREVER)
    return ModelPage(
        summary=summary,
        latest=latest,
        range=chosen,
        metric=metric,
        metrics=metrics,
        charts=_charts(reports, metric, episodes, [line.request for line in retrainings], marked),
        windows=tuple(report for report in reversed(loaded) if report.key.start in listed),
        shown=len(lines),
        stride=stride,
        alerts=queries.alerts.current(
            of, states=(AlertState.FIRING, AlertState.PENDING, AlertState.RESOLVED)
        ),
        retrainings=retrainings,
        features=feature_lines(latest)[:SHOWN_FEATURES] if latest else (),
        track=queries.labels.record(model, version).metrics,
        advice=advice(latest),
        findings=findings(latest),
    )


def worst(lines: Sequence[ReportLine], stride: int) -> list[ReportLine]:
    """Return the window with the lowest score of every `stride` windows in a row, and always the newest one.

    A window without a score is chosen only where none of its neighbours has one.
    """
    groups = [lines[at : at + stride] for at in range(0, len(lines), stride)]
    found = [min(group, key=lambda line: (line.score is None, line.score or 0.0)) for group in groups]
    return found if not lines or found[-1] is lines[-1] else [*found, lines[-1]]


def shown_metrics(report: WindowReport | None) -> tuple[str, ...]:
    """Return the metrics a page offers, the primary first; cells of the confusion matrix have a chart of their own."""
    if report is None:
        return ()
    names = [name for name in report.estimates if not name.startswith("confusion:")]
    return tuple(sorted(names, key=lambda name: name != report.health.metric))


def findings(report: WindowReport | None) -> tuple[str, ...]:
    """Return the reasons of a window's score; whose case it is stands apart, as advice, where that is shown."""
    if report is None:
        return ()
    told = tuple(reason.text for reason in report.health.reasons)
    if report.health.status is HealthStatus.HEALTHY or not advice(report):
        return told
    return tuple(text for text in told if not text.startswith(f"{report.health.cause}, a case for "))


def advice(report: WindowReport | None) -> str:
    """Return whose turn it is, by the cause that the health score names."""
    cause = report.health.cause if report else None
    return f"A case for {whom_to_call(cause)}." if cause else ""


def _within(episodes: Sequence[Alert], chosen: Period) -> list[Alert]:
    """Return the firings that touch a period."""
    start = chosen.start or 0
    return [alert for alert in episodes if alert.state is AlertState.FIRING or alert.since >= start]


def _charts(
    reports: Sequence[WindowReport],
    metric: str,
    episodes: Sequence[Alert],
    requests: Sequence[RetrainingRequest],
    markers: Sequence[Marker],
) -> tuple[Chart, ...]:
    """Return the page's charts, from how well and what was done about it to why."""
    if not reports:
        return ()
    start, end = reports[0].key.start, reports[-1].key.end
    requests = [request for request in requests if request.created >= start]
    markers = [marker for marker in markers if start <= marker.at <= end]
    name, latest = metric_name(metric), reports[-1]
    charts = [
        Chart.of(
            drawings.estimate_figure(reports, metric),
            f"Estimated {name}",
            f"Estimated {name} by window; the latest is {estimate_text(latest.estimates.get(metric))}.",
            "What the metric would be if labels came. Hollow points lie outside what the reference knows.",
            wide=True,
        )
    ]
    if episodes or requests or markers:
        charts.append(
            Chart.of(
                drawings.timeline_figure(episodes, requests, until=end, since=start, markers=markers),
                "What happened",
                f"{len(episodes)} alert firings, {len(requests)} retraining requests and {len(markers)} deployments.",
                wide=True,
            )
        )
    return (
        *charts,
        Chart.of(
            drawings.health_figure(reports),
            "Health score and its parts",
            f"Health score by window, from 0 to 100. {headline(latest)}",
            f"100 × (1 − P({metric_name(latest.health.metric)} fell by more than its tolerance)).",
        ),
        Chart.of(
            drawings.drift_figure(reports),
            "Drift by feature",
            "Heat map of each feature's drift statistic divided by its threshold, by window.",
            "Statistic ÷ threshold; above 1 the feature has moved more than windows of the reference do.",
        ),
    )
