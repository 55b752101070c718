"""Segments side by side: what each one's estimate is, how sure that is, and what it was in the reference."""

from __future__ import annotations

from collections.abc import Sequence

from mlhealth.dashboards.drawing import Drawing
from mlhealth.dashboards.theme import LIGHT, SYMBOLS, Theme, empty_figure, say
from mlhealth.dashboards.wording import capital, estimate_text, is_percent, metric_name, plain, shortened
from mlhealth.records import PerformanceEstimate, WindowReport

MOST_SEGMENTS = 20


def segments_figure(reports: Sequence[WindowReport], metric: str, *, theme: Theme = LIGHT) -> Drawing:
    """Return one line per segment of a window, the lowest score on top: estimate, interval, reference as a stroke.

    A segment whose estimate is unknown keeps its line and says so.
    """
    shown = sorted(reports, key=lambda r: (r.health.score is None, r.health.score or 0.0, r.key.segment))
    shown = shown[:MOST_SEGMENTS]
    figure = empty_figure(theme, height=92 + 26 * max(len(shown), 2))
    known = [(n, r.estimates[metric]) for n, r in enumerate(shown) if _is_known(r.estimates.get(metric))]
    if not known:
        return say(figure, f"{capital(metric_name(metric))} of segments is unknown for this window", theme)
    _references(figure, shown, metric, theme)
    _estimates(figure, shown, metric, theme)
    figure.update_yaxes(
        tickvals=list(range(len(shown))),
        ticktext=[_name(report, metric) for report in shown],
        range=[len(shown) - 0.4, -0.6],
        showgrid=False,
    )
    figure.update_xaxes(tickformat=".0%" if is_percent(metric) else None, nticks=6)
    figure.update_layout(margin={"t": 40})
    return figure


def _is_known(estimate: PerformanceEstimate | None) -> bool:
    return estimate is not None and estimate.value is not None


def _name(report: WindowReport, metric: str) -> str:
    name = plain(shortened(report.key.segment, 30))
    return name if _is_known(report.estimates.get(metric)) else f"{name}: unknown"


def _references(figure: Drawing, shown: Sequence[WindowReport], metric: str, theme: Theme) -> None:
    """Mark what each segment was in the reference."""
    known = [(n, e.reference) for n, r in enumerate(shown) if (e := r.estimates.get(metric)) is not None]
    figure.add_scatter(
        x=[value for _, value in known],
        y=[n for n, _ in known],
        mode="markers",
        marker={"symbol": "line-ns", "size": 14, "line": {"width": 2, "color": theme.reference}},
        name="reference",
        hovertemplate="reference %{x:.3~g}<extra></extra>",
    )


def _estimates(figure: Drawing, shown: Sequence[WindowReport], metric: str, theme: Theme) -> None:
    """Draw the estimates with their intervals, coloured and shaped by each segment's status."""
    rows = [(n, r, e) for n, r in enumerate(shown) if (e := r.estimates.get(metric)) and e.value is not None]
    figure.add_scatter(
        x=[e.value for _, _, e in rows],
        y=[n for n, _, _ in rows],
        error_x={
            "array": [None if e.upper is None else e.upper - (e.value or 0.0) for _, _, e in rows],
            "arrayminus": [None if e.lower is None else (e.value or 0.0) - e.lower for _, _, e in rows],
            "color": theme.muted,
            "thickness": 1.4,
            "width": 4,
        },
        mode="markers",
        marker={
            "symbol": [SYMBOLS[r.health.status] for _, r, _ in rows],
            "size": 10,
            "color": [theme.status(r.health.status) for _, r, _ in rows],
        },
        name=f"estimated {metric_name(metric)}",
        customdata=[
            f"<b>{plain(r.key.segment)}</b><br>{estimate_text(e)}<br>{r.rows:,} rows, {r.health.status}"
            for _, r, e in rows
        ],
        hovertemplate="%{customdata}<extra></extra>",
    )
