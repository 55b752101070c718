"""One feature over time: how far it has moved, and what was wrong with its values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mlhealth.dashboards.drawing import Drawing
from mlhealth.dashboards.heat_figures import ratio
from mlhealth.dashboards.theme import LIGHT, Theme, empty_figure, say
from mlhealth.dashboards.time_axis import TimeAxis, hatch
from mlhealth.dashboards.wording import number, plain
from mlhealth.records import FeatureQuality, WindowReport

FAULTS = {
    "missing": "missing",
    "unseen": "not in the reference",
    "out_of_range": "out of range",
    "non_finite": "not finite",
}
"""The shares of a feature's values that are drawn, by the field of `FeatureQuality`."""
_DASHES = ("solid", "dash", "dot", "dashdot")


def feature_drift_figure(
    reports: Sequence[WindowReport], name: str, *, theme: Theme = LIGHT, height: int = 280
) -> Drawing:
    """Return a feature's drift statistic divided by its threshold, by window; 1 is where it counts as drifted."""
    axis = TimeAxis.of(reports)
    figure = empty_figure(theme, height=height)
    value = partial(_ratio, name=name)
    known = [v for r in axis.reports if (v := value(r)) is not None]
    if not known:
        return say(figure, "Drift of this feature is unknown in every window shown", theme)
    top = max(1.25, 1.08 * max(known))
    hatch(figure, axis, axis.spans(lambda r: value(r) is None), (0.0, top), theme)
    ends = [axis.at(axis.reports[0].key.start), axis.at(axis.reports[-1].key.end)]
    figure.add_scatter(
        x=ends,
        y=[1, 1],
        mode="lines",
        line={"color": theme.limit, "width": 1.4, "dash": "dot"},
        name="threshold",
        hoverinfo="skip",
    )
    _drift_line(figure, axis, name, theme)
    figure.update_yaxes(range=[0, top])
    return figure


def _ratio(report: WindowReport, name: str) -> float | None:
    return ratio(report.drift.get(name))


def _drift_line(figure: Drawing, axis: TimeAxis, name: str, theme: Theme) -> None:
    """Draw the line, and a triangle for each window in which the feature had drifted."""
    x, y = axis.series(partial(_ratio, name=name))
    line = {"color": theme.estimate, "width": 1.8}
    figure.add_scatter(x=x, y=y, mode="lines", line=line, name="statistic ÷ threshold", hoverinfo="skip")
    for is_drifted, symbol, colour in (
        (False, "circle", theme.estimate),
        (True, "triangle-up", theme.critical),
    ):
        chosen = [r for r in axis.reports if name in r.drift and r.drift[name].drifted is is_drifted]
        chosen = [r for r in chosen if _ratio(r, name) is not None]
        if chosen:
            figure.add_scatter(
                x=[axis.middle(r) for r in chosen],
                y=[_ratio(r, name) for r in chosen],
                mode="markers",
                marker={"symbol": symbol, "size": 9 if is_drifted else 5, "color": colour},
                name="drifted" if is_drifted else "within its threshold",
                showlegend=is_drifted,
                customdata=[[axis.link(r), _drift_hover(axis, r, name)] for r in chosen],
                hovertemplate="%{customdata[1]}<extra></extra>",
            )


def _drift_hover(axis: TimeAxis, report: WindowReport, name: str) -> str:
    result = report.drift[name]
    told = f"{plain(result.detector)} {number(result.statistic)}, threshold {number(result.threshold)}"
    return f"{axis.name(report)}<br>{told}"


def feature_quality_figure(
    reports: Sequence[WindowReport], name: str, *, theme: Theme = LIGHT, height: int = 280
) -> Drawing:
    """Return the shares of a feature's values that were missing, unknown, out of range or not finite, by window."""
    axis = TimeAxis.of(reports)
    figure = empty_figure(theme, height=height)
    if not any(name in r.quality for r in axis.reports):
        return say(figure, "Quality of this feature is unknown in every window shown", theme)
    colours = (theme.estimate, theme.realised, theme.critical, theme.degraded)
    top = 0.0
    for (part, label), colour, dash in zip(FAULTS.items(), colours, _DASHES, strict=True):
        x, y = axis.series(partial(_share, name=name, part=part))
        top = max([top, *(v for v in y if v is not None)])
        if any(y):
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines",
                line={"color": colour, "dash": dash, "width": 1.8},
                name=label,
                hovertemplate=f"{label}: %{{y:.2%}}<extra></extra>",
            )
    if top == 0.0:
        return say(figure, "No value was missing, unknown, out of range or not finite", theme)
    figure.update_layout(showlegend=True)
    figure.update_yaxes(range=[0, max(0.02, 1.08 * top)], tickformat=".0%" if top > 0.05 else ".1%")
    return figure


def _share(report: WindowReport, name: str, part: str) -> float | None:
    quality: FeatureQuality | None = report.quality.get(name)
    return None if quality is None else float(getattr(quality, part))
