"""A review of one model version over a period, as one self-contained file for people who decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from mlhealth.dashboards import figures
from mlhealth.dashboards.web.model_page import DRAWN
from mlhealth.dashboards.web.render import environment, safe_json
from mlhealth.errors import NotFoundError
from mlhealth.queries.alerts import Of, RetrainingLine
from mlhealth.queries.reports import Period, Queries
from mlhealth.records import Alert, WindowReport

_STYLE = Path(__file__).parent / "web" / "static" / "style.css"


@dataclass(frozen=True)
class Truth:
    """How the estimates compare with what came true, over the windows whose labels came.

    `inside`: windows whose true value lay in the interval. `error`: mean absolute difference, in the metric's unit.
    """

    windows: int
    inside: int
    error: float


@dataclass(frozen=True)
class Review:
    """What a review tells."""

    model: str
    version: str
    reports: tuple[WindowReport, ...]
    statuses: dict[str, int]
    metric: str
    truth: Truth | None
    episodes: tuple[Alert, ...]
    retrainings: tuple[RetrainingLine, ...]
    made: int

    @property
    def start(self) -> int:
        """Return the start of the first window."""
        return self.reports[0].key.start

    @property
    def end(self) -> int:
        """Return the end of the last window."""
        return self.reports[-1].key.end

    @property
    def rows(self) -> int:
        """Return the rows of all windows."""
        return sum(report.rows for report in self.reports)

    @property
    def lowest(self) -> WindowReport | None:
        """Return the window with the lowest score."""
        known = [r for r in self.reports if r.health.score is not None]
        return min(known, key=lambda r: r.health.score or 0.0, default=None)


def review(queries: Queries, model: str, version: str, period: Period, *, now: int) -> Review:
    """Return the review of a period; raises NotFoundError where it has no window. `now` is told as when it was made."""
    queries.version(model, version)
    reports = queries.reports(model, version, period, limit=100_000)
    if not reports:
        raise NotFoundError(
            f"model {model!r} version {version!r} has no window in this period; try another --from and --to"
        )
    of, metric = Of(model, version), reports[-1].health.metric
    start, end = reports[0].key.start, reports[-1].key.end
    episodes = tuple(
        a for a in queries.alerts.episodes(of) if (a.fired_at or 0) < end and _last(a, end) >= start
    )
    asked = tuple(line for line in queries.alerts.retrainings(of) if start <= line.request.created < end)
    statuses = Counter(str(report.health.status) for report in reports)
    return Review(
        model, version, reports, dict(statuses), metric, truth(reports, metric), episodes, asked, now
    )


def truth(reports: Sequence[WindowReport], metric: str) -> Truth | None:
    """Return how estimates and truth compare, or None where no labels came."""
    inside, errors = 0, []
    for report in reports:
        estimate, true = report.estimates.get(metric), report.realized.get(metric)
        if true is None or estimate is None or estimate.value is None:
            continue
        errors.append(abs(estimate.value - true))
        if estimate.lower is not None and estimate.upper is not None:
            inside += estimate.lower <= true <= estimate.upper
    return Truth(len(errors), inside, sum(errors) / len(errors)) if errors else None


def to_html(told: Review) -> str:
    """Return the review as one HTML file that needs nothing else: style, figures and Plotly are inside."""
    drawn = _figures(told)
    # Figures in a file are drawn once, in the light theme: so is everything around them.
    light = _STYLE.read_text(encoding="utf-8").replace(
        "@media (prefers-color-scheme: dark)", "@media not all"
    )
    style = Markup(light)  # noqa: S704 - our own file
    plotly = Markup(get_plotlyjs())  # noqa: S704 - the installed package's own file
    charts = [(title, safe_json(str(figure.to_json()))) for title, figure in drawn]
    return (
        environment().get_template("report.html").render(view=told, style=style, plotly=plotly, charts=charts)
    )


def to_markdown(told: Review) -> str:
    """Return the review in words, as Markdown."""
    return environment().get_template("report.md").render(view=told).strip() + "\n"


def _last(alert: Alert, end: int) -> int:
    return end if alert.state == "firing" else alert.since


def _figures(told: Review) -> list[tuple[str, go.Figure]]:
    """Return the figures by title; of a long period, the worst window of several in a row."""
    lines = {report.key.start: report for report in told.reports}
    chosen = _chosen(told.reports)
    reports = [lines[start] for start in chosen]
    requests = [line.request for line in told.retrainings]
    timeline = figures.timeline_figure(told.episodes, requests, until=told.end, since=told.start)
    return [
        ("Estimated performance", figures.estimate_figure(reports, told.metric)),
        ("Health score and its parts", figures.health_figure(reports)),
        ("Drift by feature", figures.drift_figure(reports)),
        ("Alerts and retraining", timeline),
    ]


def _chosen(reports: Sequence[WindowReport]) -> list[int]:
    stride = max(1, -(-len(reports) // DRAWN))
    groups = [reports[at : at + stride] for at in range(0, len(reports), stride)]
    return [min(g, key=lambda r: (r.health.score is None, r.health.score or 0.0)).key.start for g in groups]
