"""A window's page: why the score is what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlhealth.dashboards import drawings
from mlhealth.dashboards.health_figures import part_name
from mlhealth.dashboards.web.chart import Chart
from mlhealth.dashboards.web.feature_lines import FeatureLine, feature_lines
from mlhealth.dashboards.web.model_page import advice, findings, shown_metrics
from mlhealth.dashboards.web.render import share
from mlhealth.dashboards.web.scores import calibration_of, mean_score, score_counts, score_note
from mlhealth.dashboards.wording import capital, is_percent, metric_name, number
from mlhealth.profile.window_profile import PREDICTED, WindowProfile
from mlhealth.queries.reports import Period, Queries, ReportLine
from mlhealth.records import HealthScore, PerformanceEstimate, WindowReport

DISTRIBUTIONS = 6
"""Features whose distributions are drawn: those with a reason or a fault, then those that drifted most."""


@dataclass(frozen=True)
class WindowPage:
    """What the page shows; `before` and `after` are the neighbouring windows."""

    report: WindowReport
    estimates: tuple[PerformanceEstimate, ...]
    features: tuple[FeatureLine, ...]
    segments: tuple[WindowReport, ...]
    charts: tuple[Chart, ...]
    scores: tuple[Chart, ...]
    why: tuple[Chart, ...]
    segments_chart: Chart | None
    parts: tuple[tuple[str, str], ...]
    before: ReportLine | None
    after: ReportLine | None
    advice: str
    findings: tuple[str, ...]


def window_page(queries: Queries, model: str, version: str, start: int) -> WindowPage:
    """Return the page of a window; raises NotFoundError where there is none."""
    report = queries.report(model, version, start)
    features = feature_lines(report)
    profiles = queries.profiles(report)
    segments = queries.segments(model, version, start)
    before = queries.lines(model, version, Period(None, start), limit=1)
    after = queries.next_line(model, version, start)
    return WindowPage(
        report=report,
        estimates=tuple(report.estimates[name] for name in shown_metrics(report)),
        features=features,
        segments=segments,
        charts=_charts(features, report, profiles),
        scores=_scores(queries, report, profiles),
        why=_why(report),
        segments_chart=_segments(segments, report.health.metric),
        parts=parts(report.health),
        before=before[0] if before else None,
        after=after,
        advice=advice(report),
        findings=findings(report),
    )


def _charts(
    features: Sequence[FeatureLine],
    report: WindowReport,
    profiles: tuple[WindowProfile, WindowProfile] | None,
) -> tuple[Chart, ...]:
    """Return the distributions of the features most worth a look, and of the prediction."""
    if profiles is None:
        return ()
    reference, window = profiles
    told = [reason.feature for reason in report.health.reasons if reason.feature]
    ranked = [*told, *(line.name for line in features if line.name != PREDICTED)]
    known = [name for name in dict.fromkeys(ranked) if name in reference.layout.bins and name != PREDICTED]
    return tuple(distribution(name, reference, window) for name in [*known[:DISTRIBUTIONS], PREDICTED])


def parts(health: HealthScore) -> tuple[tuple[str, str], ...]:
    """Return what a score is made of, by name, as people read it; the estimate itself has a table of its own."""
    told = {name: value for name, value in health.parts.items() if name not in _ESTIMATED}
    if not told:
        return ()
    losing = dict.fromkeys(("loss",), "lost")
    found = [(losing.get(name, part_name(name)), _part(name, value, health)) for name, value in told.items()]
    return (*found, ("tolerance", _part("tolerance", health.tolerance, health)))


_ESTIMATED = frozenset({"value", "lower", "upper", "reference"})
_SHARES = frozenset({"probability_of_drop", "drifted_features", "faulty_features", "input_fault"})


def _part(name: str, value: float, health: HealthScore) -> str:
    if name in _SHARES:
        return share(value)
    if name in {"loss", "tolerance"} and is_percent(health.metric):
        return f"{100 * value:.1f} pp"
    return number(value)


def _segments(reports: Sequence[WindowReport], metric: str) -> Chart | None:
    """Return the segments side by side; None where there are none."""
    if not reports:
        return None
    name = metric_name(metric)
    return Chart.of(
        drawings.segments_figure(reports, metric),
        f"Estimated {name} by segment",
        f"Estimated {name} of {len(reports)} segments, the lowest health score first; the table lists them.",
        "Whiskers are 90 % intervals, the stroke is the segment's own reference.",
        wide=True,
    )


def _why(report: WindowReport) -> tuple[Chart, ...]:
    """Return what costs the primary metric: by feature, and by segment of the rows."""
    charts = []
    metric = report.health.metric
    note = "Estimated by giving each back the values it has in the reference."
    titles = {
        "feature": ("What costs it, by feature", note),
        "segment": ("What costs it, by group of rows", ""),
    }
    for kind, (title, told) in titles.items():
        costs = [cost for cost in report.costs if cost.kind == kind]
        if costs:
            listed = "; ".join(f"{cost.name} {cost.cost:+.3f}" for cost in costs[:5])
            alt = f"{title}, in {metric_name(metric)}: {listed}."
            charts.append(Chart.of(drawings.cost_figure(costs, metric), title, alt, told))
    return tuple(charts)


def _scores(
    queries: Queries, report: WindowReport, profiles: tuple[WindowProfile, WindowProfile] | None
) -> tuple[Chart, ...]:
    """Return the confusion matrix, how the scores lie, and whether they meant what they say in the reference."""
    charts: list[Chart] = []
    classes = _classes(report, profiles)
    if len(classes) > 1:
        alt = "Estimated share of rows by true and predicted class."
        figure = drawings.confusion_figure(report, classes)
        charts.append(
            Chart.of(figure, "Estimated confusion matrix", alt, "Shares of all rows of the window.")
        )
    view = queries.baseline_view(report.baseline)
    if view is None or profiles is None or not view.schema.scores:
        return tuple(charts)
    baseline, window = (score_counts(profile) for profile in profiles)
    charts.append(
        Chart.of(
            drawings.scores_figure(baseline, window),
            "Scores",
            "Shares of scores in this window beside the baseline.",
            score_note(view.schema),
        )
    )
    curve = calibration_of(view)
    if curve is not None:
        figure = drawings.calibration_figure(curve, mean_score(window))
        alt = "Share of positive rows by score, in the labelled reference."
        charts.append(
            Chart.of(figure, "Score calibration", alt, "Of the labelled reference, with 90 % intervals.")
        )
    return tuple(charts)


def distribution(name: str, reference: WindowProfile, window: WindowProfile) -> Chart:
    """Return a column's values in a window beside the baseline's."""
    counts = drawings.FeatureCounts(
        name, reference.layout.bins[name], reference.column(name), window.column(name)
    )
    title = "Predictions" if name == PREDICTED else name
    alt = capital(f"{title}: shares of its values in this window beside the baseline.")
    return Chart.of(drawings.distribution_figure(counts), title, alt)


def _classes(report: WindowReport, profiles: tuple[WindowProfile, WindowProfile] | None) -> tuple[str, ...]:
    """Return the classes of a confusion matrix, empty where the report has none."""
    cells = [name for name in report.estimates if name.startswith("confusion:")]
    if not cells or profiles is None:
        return tuple(dict.fromkeys(cell.split(":")[1] for cell in cells))
    return profiles[0].layout.schema.classes
