"""The timeline of what happened to a model: alerts, retraining, deployments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlhealth.dashboards.drawing import Drawing
from mlhealth.dashboards.theme import LIGHT, Theme, empty_figure, say
from mlhealth.dashboards.time_axis import TimeAxis
from mlhealth.dashboards.wording import moment, plain, shortened, span
from mlhealth.records import Alert, AlertState, RetrainingRequest, RetrainingStatus

if TYPE_CHECKING:  # plots need no store
    from mlhealth.store.markers import Marker

RETRAINING, DEPLOYMENTS = "retraining", "deployments"
_SHAPES = {"deploy": "triangle-right", "promote": "star-diamond", "rollback": "triangle-left"}


def timeline_figure(
    alerts: Sequence[Alert],
    retrainings: Sequence[RetrainingRequest],
    *,
    until: int,
    since: int | None = None,
    markers: Sequence[Marker] = (),
    theme: Theme = LIGHT,
    height: int | None = None,
) -> Drawing:
    """Return one bar per alert episode, from firing to resolving (or `until`), and a mark per request and marker.

    The axis begins at `since`, else at the first mark.
    """
    fired = [alert for alert in alerts if alert.fired_at is not None]
    rows = sorted({alert.rule for alert in fired}) + ([RETRAINING] if retrainings else [])
    rows += [DEPLOYMENTS] if markers else []
    figure = empty_figure(theme, height=height or 62 + 28 * max(len(rows), 2))
    if not rows:
        return say(figure, "No alert has fired and no retraining was asked for", theme)
    axis = TimeAxis(())
    for alert in fired:
        _episode(figure, axis, alert, until, theme)
    if retrainings:
        _requests(figure, axis, retrainings, theme)
    if markers:
        _markers(figure, axis, markers, theme)
    labels = [plain(shortened(row)) for row in rows]
    figure.update_yaxes(
        tickvals=rows, ticktext=labels, categoryorder="array", categoryarray=rows[::-1], gridcolor=None
    )
    figure.update_yaxes(showgrid=False, type="category")
    figure.update_layout(showlegend=False, margin={"t": 8})
    if since is not None:
        figure.update_xaxes(range=[axis.at(since), axis.at(until + (until - since) // 50)])
    return figure


def _episode(figure: Drawing, axis: TimeAxis, alert: Alert, until: int, theme: Theme) -> None:
    firing = alert.state is AlertState.FIRING
    start = alert.fired_at or alert.since
    end = until if firing else alert.since
    text = f"{plain(alert.rule)}, {plain(alert.severity)}<br>{span(start, end)}" + (
        " (firing)" if firing else ""
    )
    figure.add_scatter(
        x=[axis.at(start), axis.at(end)],
        y=[alert.rule, alert.rule],
        mode="lines+markers",
        line={"color": theme.critical if firing else theme.unknown, "width": 9},
        marker={"symbol": ["line-ns", "arrow-right" if firing else "line-ns"], "size": 9},
        hovertemplate=f"{text}<extra></extra>",
    )


def _requests(figure: Drawing, axis: TimeAxis, requests: Sequence[RetrainingRequest], theme: Theme) -> None:
    bad = (RetrainingStatus.FAILED, RetrainingStatus.REFUSED)
    symbols = ["x" if r.status in bad else "star" for r in requests]
    colours = [theme.critical if r.status in bad else theme.estimate for r in requests]
    texts = [f"{plain(r.service)}: {r.status}<br>{plain(shortened(r.reason, 90))}" for r in requests]
    figure.add_scatter(
        x=[axis.at(r.created) for r in requests],
        y=[RETRAINING] * len(requests),
        mode="markers",
        marker={"symbol": symbols, "size": 12, "color": colours},
        customdata=texts,
        hovertemplate="%{customdata}<extra></extra>",
    )


def _markers(figure: Drawing, axis: TimeAxis, markers: Sequence[Marker], theme: Theme) -> None:
    """Draw deployments, promotions, rollbacks and notes, each kind with a shape of its own."""
    figure.add_scatter(
        x=[axis.at(marker.at) for marker in markers],
        y=[DEPLOYMENTS] * len(markers),
        mode="markers",
        marker={
            "symbol": [_SHAPES.get(marker.kind, "circle") for marker in markers],
            "size": 11,
            "color": theme.realised,
        },
        customdata=[
            f"{plain(m.kind)} of version {plain(m.version)}, {moment(m.at)}<br>{plain(shortened(m.note, 90))}"
            for m in markers
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
