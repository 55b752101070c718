"""Drift by feature and window, and the estimated confusion matrix, as heat maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlhealth.dashboards.drawing import Drawing
from mlhealth.dashboards.theme import LIGHT, Theme, empty_figure, say
from mlhealth.dashboards.time_axis import TimeAxis
from mlhealth.dashboards.wording import column_name, number, plain, shortened
from mlhealth.records import DetectorResult, WindowReport

RATIO_CAP = 3.0
"""Statistics beyond this many times their threshold share one colour."""


def ratio(result: DetectorResult | None) -> float | None:
    """Return statistic / threshold: above 1 the feature has drifted; None where that is not known."""
    if result is None or result.statistic is None or result.threshold is None:
        return None
    if result.threshold > 0:
        return result.statistic / result.threshold
    return RATIO_CAP if result.drifted else 0.0


def drift_figure(
    reports: Sequence[WindowReport], *, theme: Theme = LIGHT, rows: bool = False, top: int = 25
) -> Drawing:
    """Return a heat map feature × window of statistic / threshold, the most drifted features on top.

    Blue is below the threshold, orange above; an unknown cell is grey with a cross.
    """
    axis = TimeAxis.of(reports, rows=rows)
    names = _most_drifted(axis.reports, top)
    figure = empty_figure(theme, height=90 + 21 * max(len(names), 4))
    if not names:
        return say(figure, "No feature was compared in this period", theme)
    _cells(figure, axis, names, theme)
    _unknown_cells(figure, axis, names, theme)
    labels = [plain(shortened(column_name(name), 22)) for name in names]
    figure.update_yaxes(
        tickvals=[column_name(name) for name in names],
        ticktext=labels,
        type="category",
        autorange="reversed",
        showgrid=False,
    )
    figure.update_xaxes(showgrid=False)
    figure.update_layout(margin={"t": 44}, showlegend=False)
    return figure


def _most_drifted(reports: Sequence[WindowReport], top: int) -> list[str]:
    """Return the `top` features by their largest ratio, largest first."""
    worst: dict[str, float] = {}
    for report in reports:
        for name, result in report.drift.items():
            known = ratio(result)
            worst[name] = max(worst.get(name, -1.0), -1.0 if known is None else known)
    return sorted(worst, key=lambda name: (-worst[name], name))[:top]


def _cells(figure: Drawing, axis: TimeAxis, names: Sequence[str], theme: Theme) -> None:
    """Draw one cell per feature and window, as wide as the window; a gap between windows stays empty."""
    edges, columns = axis.columns()
    grid = np.array(
        [[_capped(ratio(r.drift.get(name)) if r else None) for r in columns] for name in names], np.float64
    )
    cells = np.array([[_cell_data(axis, r, name) for r in columns] for name in names], dtype=object)
    figure.add_heatmap(
        x=edges,
        y=[column_name(name) for name in names],
        z=grid,
        zmin=0,
        zmax=RATIO_CAP,
        xgap=1 if len(columns) < 80 else 0,
        ygap=1,
        colorscale=_scale(theme),
        hoverongaps=False,
        customdata=cells,
        hovertemplate="<b>%{y}</b><br>%{customdata[1]}<br>%{customdata[2]}<extra></extra>",
        colorbar=_colour_bar(),
    )


def _cell_data(axis: TimeAxis, report: WindowReport | None, name: str) -> list[str]:
    """Return a cell's link, window and verdict."""
    if report is None:
        return ["", "", ""]
    return [axis.link(report), axis.name(report), _verdict(report.drift.get(name))]


def _capped(value: float | None) -> float | None:
    return None if value is None else min(value, RATIO_CAP)


def _colour_bar() -> dict[str, object]:
    return {
        "orientation": "h",
        "thickness": 8,
        "len": 0.55,
        "x": 0,
        "xanchor": "left",
        "y": 1,
        "yanchor": "bottom",
        "ypad": 4,
        "outlinewidth": 0,
        "tickvals": [0, 1, 2, 3],
        "ticktext": ["0", "1 = threshold", "2", "≥ 3"],
        "tickangle": 0,
        "tickfont": {"size": 10},
    }


def _scale(theme: Theme) -> list[list[float | str]]:
    """Return a scale that turns from blue to orange at the threshold."""
    edge = 1 / RATIO_CAP
    return [
        [0.0, theme.neutral],
        [0.6 * edge, theme.cool_pale],
        [edge, theme.cool],
        [edge, theme.warm_pale],
        [0.67, theme.warm],
        [1.0, theme.warm_deep],
    ]


def _verdict(result: DetectorResult | None) -> str:
    """Return what a detector found, in one line."""
    if result is None or result.statistic is None:
        return "unknown" + (f": {plain(result.note)}" if result and result.note else "")
    verdict = "drifted" if result.drifted else "within its threshold"
    return f"{plain(result.detector)} {number(result.statistic)}, threshold {number(result.threshold)}: {verdict}"


def _unknown_cells(figure: Drawing, axis: TimeAxis, names: Sequence[str], theme: Theme) -> None:
    """Mark cells without an answer, so that they are not read as calm ones."""
    missing = [(r, name) for r in axis.reports for name in names if ratio(r.drift.get(name)) is None]
    if missing:
        figure.add_scatter(
            x=[axis.middle(r) for r, _ in missing],
            y=[column_name(name) for _, name in missing],
            mode="markers",
            marker={"symbol": "x-thin", "size": 6, "line": {"width": 1.2, "color": theme.unknown}},
            customdata=[[axis.name(r), _verdict(r.drift.get(name))] for r, name in missing],
            hovertemplate="<b>%{y}</b><br>%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        )


def confusion_figure(
    report: WindowReport, classes: Sequence[str], *, theme: Theme = LIGHT, height: int = 260
) -> Drawing:
    """Return the estimated confusion matrix of a window as shares of all its rows, true class by predicted class."""
    figure = empty_figure(theme, height=height)
    grid = [[report.estimates.get(f"confusion:{t}:{p}") for p in classes] for t in classes]
    values = [[None if cell is None else cell.value for cell in line] for line in grid]
    if not any(value is not None for line in values for value in line):
        return say(figure, "The confusion matrix is unknown for this window", theme)
    names = [plain(shortened(name, 14)) for name in classes]
    figure.add_heatmap(
        x=names,
        y=names,
        z=values,
        zmin=0,
        text=[["?" if v is None else f"{v:.1%}" for v in line] for line in values],
        texttemplate="%{text}",
        showscale=False,
        xgap=2,
        ygap=2,
        colorscale=[[0.0, theme.neutral], [1.0, theme.cool]],
        textfont={"color": theme.ink},
        hovertemplate="true %{y}, predicted %{x}: %{text}<extra></extra>",
    )
    figure.update_xaxes(title={"text": "predicted"}, showgrid=False, type="category")
    figure.update_yaxes(
        title={"text": "true (estimated)"}, autorange="reversed", showgrid=False, type="category"
    )
    return figure
