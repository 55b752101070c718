"""The estimate of a metric over time: value, interval, reference, tolerance, and the truth where labels came."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mlhealth.dashboards.drawing import Drawing
from mlhealth.dashboards.theme import LIGHT, Theme, empty_figure, say
from mlhealth.dashboards.time_axis import Position, TimeAxis, hatch
from mlhealth.dashboards.wording import (
    capital,
    estimate_text,
    higher_is_better,
    is_percent,
    metric_name,
    metric_value,
)
from mlhealth.records import EstimateStatus, PerformanceEstimate, WindowReport

_STATUS_NOTES = {
    EstimateStatus.OK: "",
    EstimateStatus.WIDENED: "interval widened",
    EstimateStatus.OUT_OF_SUPPORT: "outside what the reference has seen",
    EstimateStatus.NOT_IDENTIFIABLE: "cannot be told",
}


def estimate_figure(
    reports: Sequence[WindowReport],
    metric: str,
    *,
    theme: Theme = LIGHT,
    rows: bool = False,
    height: int = 320,
) -> Drawing:
    """Return `metric`'s estimate with its interval band, reference line, tolerance and realised points."""
    axis = TimeAxis.of(reports, rows=rows)
    figure = empty_figure(theme, height=height)
    values = _known(axis.reports, metric)
    if not values:
        return say(figure, f"{capital(metric_name(metric))}: unknown in every window shown", theme)
    low, high = min(values), max(values)
    pad = 0.08 * (high - low) or 0.05 * abs(high) or 0.05
    limits = (low - pad, high + pad)
    hatch(figure, axis, axis.spans(lambda r: _part(r, "value", metric) is None), limits, theme)
    _band(figure, axis, metric, theme)
    _lines(figure, axis, metric, theme)
    _estimates(figure, axis, metric, theme)
    _realised(figure, axis, metric, theme)
    figure.update_yaxes(range=limits, tickformat=".0%" if is_percent(metric) and high - low > 0.04 else None)
    if is_percent(metric) and high - low <= 0.04:
        figure.update_yaxes(tickformat=".1%")
    return figure


def _estimate(report: WindowReport, metric: str) -> PerformanceEstimate | None:
    return report.estimates.get(metric)


def _part(report: WindowReport, part: str, metric: str) -> float | None:
    """Return one number of a report's estimate (`value`, `lower`, `upper`, `reference`)."""
    estimate = _estimate(report, metric)
    return None if estimate is None else getattr(estimate, part)


def _known(reports: Sequence[WindowReport], metric: str) -> list[float]:
    """Return every number the chart has to show, empty where no estimate is known."""
    if all(_part(r, "value", metric) is None for r in reports):
        return []
    parts = ("value", "lower", "upper", "reference")
    shown = [_part(r, part, metric) for r in reports for part in parts]
    shown += [r.realized.get(metric) for r in reports] + [_limit(r, metric) for r in reports]
    return [value for value in shown if value is not None]


def _limit(report: WindowReport, metric: str) -> float | None:
    """Return the value beyond which the loss exceeds the tolerance: a share of the reference for errors and costs."""
    reference = _part(report, "reference", metric)
    if reference is None or report.health.metric != metric:
        return None
    tolerance = report.health.tolerance
    return reference - tolerance if higher_is_better(metric) else reference + tolerance * abs(reference)


def _band(figure: Drawing, axis: TimeAxis, metric: str, theme: Theme) -> None:
    """Fill the interval, a separate shape for each stretch of known windows."""
    for n, run in enumerate(axis.runs(partial(_part, part="lower", metric=metric))):
        upper: list[tuple[Position, float | None]] = []
        lower: list[tuple[Position, float | None]] = []
        for x, report in zip(_stretched(axis, run), _doubled(run), strict=True):
            upper.append((x, _part(report, "upper", metric)))
            lower.append((x, _part(report, "lower", metric)))
        outline = upper + lower[::-1]
        level = _estimate(run[0], metric)
        figure.add_scatter(
            x=[x for x, _ in outline],
            y=[y for _, y in outline],
            mode="lines",
            line={"width": 0, "color": theme.band},
            fill="toself",
            fillcolor=theme.band,
            hoverinfo="skip",
            name=f"{100 * (level.level if level else 0.9):.0f} % interval",
            showlegend=n == 0,
            legendgroup="interval",
        )


def _stretched(axis: TimeAxis, run: Sequence[WindowReport]) -> list[Position]:
    """Return the middles of a run; a lone window's two ends, so that its interval has a width."""
    if len(run) == 1:
        return [axis.at(run[0].key.start), axis.at(run[0].key.end)]
    return [axis.middle(report) for report in run]


def _doubled(run: Sequence[WindowReport]) -> list[WindowReport]:
    return [run[0], run[0]] if len(run) == 1 else list(run)


def _lines(figure: Drawing, axis: TimeAxis, metric: str, theme: Theme) -> None:
    """Draw the reference and, for the primary metric, the limit of the tolerance."""
    ends = {
        "reference": (partial(_part, part="reference", metric=metric), theme.reference, "dash"),
        "tolerance": (partial(_limit, metric=metric), theme.limit, "dot"),
    }
    for name, (value, colour, dash) in ends.items():
        x: list[Position] = []
        y: list[float | None] = []
        for report in axis.reports:
            x += [axis.at(report.key.start), axis.at(report.key.end)]
            y += [value(report)] * 2
        if any(v is not None for v in y):
            line = {"color": colour, "width": 1.4, "dash": dash}
            figure.add_scatter(x=x, y=y, mode="lines", line=line, name=name, hoverinfo="skip")


def _estimates(figure: Drawing, axis: TimeAxis, metric: str, theme: Theme) -> None:
    """Draw the estimates; a point outside the reference's support is hollow."""
    by_middle = {axis.middle(report): report for report in axis.reports}
    x, y = axis.series(partial(_part, part="value", metric=metric))
    reports = [
        by_middle.get(position) if value is not None else None for position, value in zip(x, y, strict=True)
    ]
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines+markers",
        line={"color": theme.estimate, "width": 2},
        marker={"size": 6, "symbol": [_symbol(r, metric) for r in reports], "color": theme.estimate},
        name=f"estimated {metric_name(metric)}",
        customdata=[[axis.link(r) if r else "", _hover(axis, r, metric)] for r in reports],
        hovertemplate="%{customdata[1]}<extra></extra>",
    )


def _symbol(report: WindowReport | None, metric: str) -> str:
    estimate = _estimate(report, metric) if report else None
    return "circle" if estimate is None or estimate.status is EstimateStatus.OK else "circle-open"


def _hover(axis: TimeAxis, report: WindowReport | None, metric: str) -> str:
    estimate = _estimate(report, metric) if report else None
    if report is None or estimate is None:
        return ""
    lines = [axis.name(report), f"<b>{estimate_text(estimate)}</b>", f"{report.rows:,} rows"]
    lines += [text for text in (_STATUS_NOTES[estimate.status], estimate.explanation) if text]
    return "<br>".join(lines)


def _realised(figure: Drawing, axis: TimeAxis, metric: str, theme: Theme) -> None:
    """Mark what came true where labels arrived."""
    known = [(report, report.realized[metric]) for report in axis.reports if metric in report.realized]
    if known:
        figure.add_scatter(
            x=[axis.middle(report) for report, _ in known],
            y=[value for _, value in known],
            mode="markers",
            marker={"symbol": "diamond-open", "size": 8, "color": theme.realised, "line": {"width": 1.6}},
            name=f"true {metric_name(metric)}",
            customdata=[
                [axis.link(r), f"{axis.name(r)}<br>true: {metric_value(metric, v)}"] for r, v in known
            ],
            hovertemplate="%{customdata[1]}<extra></extra>",
        )
