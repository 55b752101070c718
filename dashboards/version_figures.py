"""Versions of a model side by side: their estimates, the difference, and how often they answer differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from mlhealth.clock import to_datetime
from mlhealth.dashboards.drawing import Drawing
from mlhealth.dashboards.theme import LIGHT, Theme, empty_figure, say
from mlhealth.dashboards.time_axis import Position
from mlhealth.dashboards.wording import (
    capital,
    difference_text,
    higher_is_better,
    is_percent,
    metric_name,
    metric_value,
    plain,
    shortened,
    span,
)
from mlhealth.versions.comparison import Comparison, Difference, WindowComparison

if TYPE_CHECKING:  # plots need no store
    from mlhealth.queries.reports import ReportLine

_DASHES = ("solid", "dash", "dot", "dashdot")


def versions_figure(
    lines: Mapping[str, Sequence[ReportLine]], metric: str, *, theme: Theme = LIGHT, height: int = 320
) -> Drawing:
    """Return each version's estimate of its primary metric over time, with its interval; at most four versions."""
    figure = empty_figure(theme, height=height)
    known = {version: part for version, part in lines.items() if any(r.value is not None for r in part)}
    if not known:
        return say(figure, f"{capital(metric_name(metric))}: unknown for every version shown", theme)
    colours = (theme.estimate, theme.limit, theme.realised, theme.healthy)
    for (version, part), colour, dash in zip(known.items(), colours, _DASHES, strict=False):
        name = f"version {plain(shortened(version))}"
        x, chosen = _stretched(part)
        text = [
            "" if r is None else f"{name}<br>{span(r.start, r.end)}<br><b>{metric_value(metric, r.value)}</b>"
            for r in chosen
        ]
        figure.add_scatter(
            x=x,
            y=[None if r is None else r.value for r in chosen],
            error_y={
                "array": [_above(r) for r in chosen],
                "arrayminus": [_below(r) for r in chosen],
                "thickness": 0.6,
                "width": 0,
                "color": colour,
            },
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": 1.8},
            marker={"size": 4, "color": colour},
            name=name,
            customdata=text,
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.update_yaxes(tickformat=".0%" if is_percent(metric) else None)
    return figure


def difference_figure(comparison: Comparison, *, theme: Theme = LIGHT, height: int = 300) -> Drawing:
    """Return challenger minus champion of the primary metric by window, with its interval, around zero."""
    metric = comparison.metric
    found = [(w, w.metrics[metric]) for w in comparison.windows if metric in w.metrics]
    known = [(w, d) for w, d in found if d.value is not None]
    figure = empty_figure(theme, height=height)
    if not known:
        return say(figure, f"The difference in {metric_name(metric)} is unknown in every window", theme)
    ends = [_at(known[0][0].start), _at(known[-1][0].end)]
    zero = {"color": theme.reference, "width": 1.4, "dash": "dash"}
    figure.add_scatter(x=ends, y=[0, 0], mode="lines", line=zero, name="no difference", hoverinfo="skip")
    colours = [_verdict_colour(d, metric, theme) for _, d in known]
    points = 100.0 if is_percent(metric) else 1.0
    figure.add_scatter(
        x=[_middle(w) for w, _ in known],
        y=[points * (d.value or 0.0) for _, d in known],
        error_y={
            "array": [_gap(d.upper, d.value, points) for _, d in known],
            "arrayminus": [_gap(d.value, d.lower, points) for _, d in known],
            "thickness": 1,
            "width": 2,
            "color": theme.unknown,
        },
        mode="markers",
        marker={"size": 7, "color": colours},
        name="challenger − champion",
        customdata=[[str(w.start), _difference_hover(w, d)] for w, d in known],
        hovertemplate="%{customdata[1]}<extra></extra>",
    )
    figure.update_yaxes(tickformat="+~g", ticksuffix=" pp" if is_percent(metric) else "")
    return figure


def disagreement_figure(comparison: Comparison, *, theme: Theme = LIGHT, height: int = 300) -> Drawing:
    """Return how far apart the versions' answers are by window: the same events' answers, and all answers' shares."""
    windows = comparison.windows
    figure = empty_figure(theme, height=height)
    apart = [
        (w, w.disagreement.share) for w in windows if w.disagreement and w.disagreement.share is not None
    ]
    distance = [(w, w.predictions) for w in windows if w.predictions is not None]
    if not apart and not distance:
        return say(figure, "Unknown: no sample of both versions' answers is kept", theme)
    for rows, name, colour, dash in (
        (apart, "same event, another answer", theme.limit, "solid"),
        (distance, "distance of all answers", theme.estimate, "dot"),
    ):
        if rows:
            figure.add_scatter(
                x=[_middle(w) for w, _ in rows],
                y=[value for _, value in rows],
                mode="lines+markers",
                line={"color": colour, "dash": dash, "width": 1.6},
                marker={"size": 5, "color": colour},
                name=name,
                hovertemplate=f"{name}: %{{y:.1%}}<extra></extra>",
            )
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def _stretched(lines: Sequence[ReportLine]) -> tuple[list[Position], list[ReportLine | None]]:
    """Return positions and windows, with an empty one where two neighbours lie far apart."""
    if len(lines) < 2:
        return [_at((r.start + r.end) // 2) for r in lines], list(lines)
    steps = sorted(b.start - a.start for a, b in pairwise(lines))
    usual = steps[len(steps) // 2]
    x: list[Position] = []
    found: list[ReportLine | None] = []
    for n, line in enumerate(lines):
        if n and line.start - lines[n - 1].start > 3 * usual:
            x.append(_at(lines[n - 1].end))
            found.append(None)
        x.append(_at((line.start + line.end) // 2))
        found.append(line)
    return x, found


def _at(micros: int) -> Position:
    return to_datetime(micros).replace(tzinfo=None)


def _middle(window: WindowComparison) -> Position:
    return _at((window.start + window.end) // 2)


def _gap(high: float | None, low: float | None, scale: float = 1.0) -> float | None:
    return None if high is None or low is None else scale * (high - low)


def _above(line: ReportLine | None) -> float | None:
    return None if line is None else _gap(line.upper, line.value)


def _below(line: ReportLine | None) -> float | None:
    return None if line is None else _gap(line.value, line.lower)


def _verdict_colour(difference: Difference, metric: str, theme: Theme) -> str:
    """Return the colour of a window: only an interval that leaves zero out says anything."""
    if difference.lower is None or difference.upper is None or difference.lower <= 0 <= difference.upper:
        return theme.unknown
    return theme.healthy if (difference.lower > 0) is higher_is_better(metric) else theme.critical


def _difference_hover(window: WindowComparison, difference: Difference) -> str:
    ends = " to ".join(
        difference_text(difference.metric, end) for end in (difference.lower, difference.upper)
    )
    text = f"<b>{difference_text(difference.metric, difference.value)}</b>"
    return f"{span(window.start, window.end)}<br>{text}" + ("" if difference.lower is None else f" ({ends})")
