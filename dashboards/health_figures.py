"""The health score over time with the numbers it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mlhealth.dashboards.drawing import Drawing
from mlhealth.dashboards.theme import LIGHT, SYMBOLS, Theme, empty_figure, say
from mlhealth.dashboards.theme import axis as axis_style
from mlhealth.dashboards.time_axis import TimeAxis, hatch
from mlhealth.dashboards.wording import plain, score_text, shortened
from mlhealth.records import HealthStatus, WindowReport

_DASHES = ("solid", "dash", "dot")
PART_NAMES = {
    "probability_of_drop": "P(drop)",
    "drifted_features": "features drifted",
    "faulty_features": "features faulty",
}


def health_figure(
    reports: Sequence[WindowReport], *, theme: Theme = LIGHT, rows: bool = False, height: int = 340
) -> Drawing:
    """Return the health score (0 to 100) by window; below it the parts that lie between 0 and 1."""
    axis = TimeAxis.of(reports, rows=rows)
    figure = empty_figure(theme, height=height)
    if not axis.reports:
        return say(figure, "No window in this period", theme)
    parts = _parts(axis.reports)
    hatch(figure, axis, axis.spans(lambda r: r.health.score is None), (0.0, 100.0), theme)
    x, y = axis.series(lambda r: r.health.score)
    line = {"color": theme.reference, "width": 1.4}
    figure.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)
    _scores(figure, axis, theme)
    domain = [0.5, 1.0] if parts else [0.0, 1.0]
    figure.update_yaxes(range=[-4, 104], domain=domain, tickvals=[0, 50, 100], title={"text": "score"})
    if parts:
        _draw_parts(figure, axis, parts, theme)
    return figure


def _parts(reports: Sequence[WindowReport]) -> list[str]:
    """Return the names of the parts that are drawn: probabilities and shares, which have one scale."""
    return [name for name in PART_NAMES if any(name in report.health.parts for report in reports)]


def _scores(figure: Drawing, axis: TimeAxis, theme: Theme) -> None:
    """Draw one marker per window, coloured and shaped by status."""
    for status in HealthStatus:
        chosen = [r for r in axis.reports if r.health.status is status and r.health.score is not None]
        if chosen:
            figure.add_scatter(
                x=[axis.middle(r) for r in chosen],
                y=[r.health.score for r in chosen],
                mode="markers",
                marker={"symbol": SYMBOLS[status], "size": 8, "color": theme.status(status)},
                name=str(status),
                customdata=[[axis.link(r), _score_hover(axis, r)] for r in chosen],
                hovertemplate="%{customdata[1]}<extra></extra>",
            )


def _score_hover(axis: TimeAxis, report: WindowReport) -> str:
    lines = [axis.name(report), f"<b>score {score_text(report.health)}</b>, {report.health.status}"]
    lines += [plain(shortened(reason.text, 90)) for reason in report.health.reasons[:3]]
    return "<br>".join(lines)


def _part_of(report: WindowReport, name: str) -> float | None:
    return report.health.parts.get(name)


def _draw_parts(figure: Drawing, axis: TimeAxis, parts: Sequence[str], theme: Theme) -> None:
    """Draw the parts in the lower half, each with a colour and a dash of its own."""
    colours = (theme.estimate, theme.limit, theme.healthy)
    for name, colour, dash in zip(parts, colours, _DASHES, strict=False):
        x, y = axis.series(partial(_part_of, name=name))
        label = plain(part_name(name))
        figure.add_scatter(
            x=x,
            y=y,
            yaxis="y2",
            mode="lines",
            line={"color": colour, "dash": dash, "width": 1.6},
            name=label,
            hovertemplate=f"{label}: %{{y:.3g}}<extra></extra>",
        )
    style = axis_style(theme) | {"range": [-0.04, 1.04], "domain": [0.0, 0.4], "tickvals": [0, 0.5, 1]}
    figure.update_layout(yaxis2=style | {"automargin": True, "anchor": "x"}, xaxis={"anchor": "y2"})
    figure.update_layout(yaxis2={"title": {"text": "parts", "font": {"size": 11}}})


def part_name(name: str) -> str:
    """Return the name of a part of the health score, as people read it."""
    return PART_NAMES.get(name, name.replace("_", " "))
