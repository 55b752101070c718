"""A window's page: why the score is what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlhealth.dashboards import figures
from mlhealth.dashboards.heat_figures import ratio
from mlhealth.dashboards.web.chart import Chart
from mlhealth.dashboards.web.model_page import advice, shown_metrics
from mlhealth.dashboards.wording import capital
from mlhealth.profile import PREDICTED, WindowProfile
from mlhealth.queries import Period, Queries, ReportLine
from mlhealth.records import DetectorResult, FeatureQuality, PerformanceEstimate, WindowReport

DISTRIBUTIONS = 6
"""Features whose distributions are drawn: those with a reason or a fault, then those that drifted most."""


@dataclass(frozen=True)
class FeatureLine:
    """One feature in one window: whether it drifted, and what was wrong with its values."""

    name: str
    drift: DetectorResult | None
    quality: FeatureQuality | None

    @property
    def rank(self) -> tuple[bool, float, str]:
        """Return the sort key: faults first, then the largest drift."""
        known = ratio(self.drift)
        return (
            not (self.quality and self.quality.faults),
            -(known if known is not None else -1.0),
            self.name,
        )


@dataclass(frozen=True)
class WindowPage:
    """What the page shows; `before` and `after` are the neighbouring windows."""

    report: WindowReport
    estimates: tuple[PerformanceEstimate, ...]
    features: tuple[FeatureLine, ...]
    segments: tuple[WindowReport, ...]
    charts: tuple[Chart, ...]
    before: ReportLine | None
    after: ReportLine | None
    advice: str


def window_page(queries: Queries, model: str, version: str, start: int) -> WindowPage:
    """Return the page of a window; raises NotFoundError where there is none."""
    report = queries.report(model, version, start)
    features = feature_lines(report)
    before = queries.lines(model, version, Period(None, start), limit=1)
    after = queries.next_line(model, version, start)
    return WindowPage(
        report=report,
        estimates=tuple(report.estimates[name] for name in shown_metrics(report)),
        features=features,
        segments=queries.segments(model, version, start),
        charts=_charts(report, features, queries.profiles(report)),
        before=before[0] if before else None,
        after=after,
        advice=advice(report),
    )


def feature_lines(report: WindowReport) -> tuple[FeatureLine, ...]:
    """Return every feature of a report, the one that needs a look first on top."""
    names = dict.fromkeys([*report.quality, *report.drift])
    lines = [FeatureLine(name, report.drift.get(name), report.quality.get(name)) for name in names]
    return tuple(sorted(lines, key=lambda line: line.rank))


def _charts(
    report: WindowReport,
    features: Sequence[FeatureLine],
    profiles: tuple[WindowProfile, WindowProfile] | None,
) -> tuple[Chart, ...]:
    """Return the distributions of the features most worth a look, of the prediction, and the confusion matrix."""
    charts: list[Chart] = []
    if profiles is not None:
        reference, window = profiles
        told = [reason.feature for reason in report.health.reasons if reason.feature]
        ranked = [*told, *(line.name for line in features if line.name != PREDICTED)]
        known = [
            name for name in dict.fromkeys(ranked) if name in reference.layout.bins and name != PREDICTED
        ]
        charts += [_distribution(name, reference, window) for name in [*known[:DISTRIBUTIONS], PREDICTED]]
    classes = _classes(report, profiles)
    if len(classes) > 1:
        alt = "Estimated share of rows by true and predicted class."
        figure = figures.confusion_figure(report, classes)
        charts.append(
            Chart.of(figure, "Estimated confusion matrix", alt, "Shares of all rows of the window.")
        )
    return tuple(charts)


def _distribution(name: str, reference: WindowProfile, window: WindowProfile) -> Chart:
    counts = figures.FeatureCounts(
        name, reference.layout.bins[name], reference.column(name), window.column(name)
    )
    title = "Predictions" if name == PREDICTED else name
    alt = capital(f"{title}: shares of its values in this window beside the baseline.")
    return Chart.of(figures.distribution_figure(counts), title, alt)


def _classes(report: WindowReport, profiles: tuple[WindowProfile, WindowProfile] | None) -> tuple[str, ...]:
    """Return the classes of a confusion matrix, empty where the report has none."""
    cells = [name for name in report.estimates if name.startswith("confusion:")]
    if not cells or profiles is None:
        return tuple(dict.fromkeys(cell.split(":")[1] for cell in cells))
    return profiles[0].layout.schema.classes
