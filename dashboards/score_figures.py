"""Where a score came from: what each cause costs, how scores lie, and whether they mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhealth.dashboards.drawing import Drawing
from mlhealth.dashboards.theme import LIGHT, Theme, empty_figure, say
from mlhealth.dashboards.wording import cost_text, is_percent, metric_name, plain, shortened
from mlhealth.records import Cost

MOST_BARS = 10
BINS = 10
"""Groups of rows of like score in a calibration curve."""
SHOWN_BINS = 20
"""Bars of a score histogram."""


def cost_figure(costs: Sequence[Cost], metric: str, *, theme: Theme = LIGHT) -> Drawing:
    """Return what each feature (or segment) costs of `metric`, the dearest on top; what gains points left."""
    shown = sorted((c for c in costs if c.metric == metric), key=lambda c: -abs(c.cost))[:MOST_BARS]
    figure = empty_figure(theme, height=84 + 26 * max(len(shown), 3))
    if not shown:
        return say(figure, f"What costs {metric_name(metric)} in this window is unknown", theme)
    ordered = sorted(shown, key=lambda c: -c.cost)
    names = [shortened(c.name, 34) for c in ordered]
    scale = 100.0 if is_percent(metric) else 1.0
    figure.add_bar(
        orientation="h",
        x=[scale * c.cost for c in ordered],
        y=list(range(len(ordered))),
        marker={"color": [theme.warm if c.cost > 0 else theme.cool for c in ordered]},
        text=[cost_text(c) for c in ordered],
        textposition="outside",
        cliponaxis=False,
        customdata=[plain(c.name) for c in ordered],
        hovertemplate="%{customdata}: %{text}<extra></extra>",
    )
    widest = max(abs(scale * c.cost) for c in ordered) or 1.0
    low = min(0.0, *(scale * c.cost for c in ordered))
    figure.update_xaxes(range=[1.35 * low, 1.35 * widest], title={"text": f"lost {metric_name(metric)}"})
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=[plain(name) for name in names],
        range=[max(len(names), 3) - 0.5, -0.5],
        showgrid=False,
    )
    figure.update_layout(showlegend=False, margin={"t": 8}, bargap=0.35)
    return figure


@dataclass(frozen=True)
class Calibration:
    """Rows in groups of like score: mean `score`, share `true` of the positive class, and `rows`, (n,) each."""

    score: NDArray[np.float64]
    true: NDArray[np.float64]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, score: NDArray[np.float64], positive: NDArray[np.bool_]) -> Calibration | None:
        """Return the calibration of scores (n,) against what was true (n,), in at most BINS groups of equal size."""
        known = np.isfinite(score)
        score, positive = score[known], positive[known]
        if len(score) < 5 * BINS:
            return None
        order = np.argsort(score, kind="stable")
        groups = np.array_split(order, BINS)
        return cls(
            np.array([score[g].mean() for g in groups]),
            np.array([positive[g].mean() for g in groups]),
            np.array([len(g) for g in groups]),
        )

    @property
    def half_width(self) -> NDArray[np.float64]:
        """Half the 90 % interval of each share by sampling, (n,)."""
        width: NDArray[np.float64] = 1.645 * np.sqrt(
            np.maximum(self.true * (1 - self.true), 1e-4) / self.rows
        )
        return width


def calibration_figure(
    curve: Calibration | None, now: float | None = None, *, theme: Theme = LIGHT, height: int = 300
) -> Drawing:
    """Return how often rows of a score were positive in the reference; on the diagonal, a score means what it says.

    `now`: the mean score of the window, drawn as a line.
    """
    figure = empty_figure(theme, height=height)
    if curve is None:
        return say(figure, "Calibration is unknown: there are no scores with labels", theme)
    diagonal = {"color": theme.reference, "width": 1.4, "dash": "dash"}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, name="as said", hoverinfo="skip")
    figure.add_scatter(
        x=curve.score,
        y=curve.true,
        error_y={"array": curve.half_width, "color": theme.estimate, "thickness": 1.2, "width": 3},
        mode="lines+markers",
        line={"color": theme.estimate, "width": 1.8},
        marker={"size": 7, "color": theme.estimate},
        name="reference",
        customdata=curve.rows,
        hovertemplate="score %{x:.2f}: %{y:.1%} positive, %{customdata:,} rows<extra></extra>",
    )
    if now is not None:
        line = {"color": theme.limit, "width": 1.6, "dash": "dot"}
        figure.add_scatter(
            x=[now, now], y=[0, 1], mode="lines", line=line, name="mean score now", hoverinfo="skip"
        )
    figure.update_xaxes(range=[0, 1], title={"text": "score"}, tickformat=".0%")
    figure.update_yaxes(range=[-0.02, 1.02], title={"text": "share positive"}, tickformat=".0%")
    return figure


def scores_figure(
    baseline: NDArray[np.int64], window: NDArray[np.int64], *, theme: Theme = LIGHT, height: int = 300
) -> Drawing:
    """Return the shares of scores in the window (bars) and the baseline (line); counts over even bins of [0, 1]."""
    figure = empty_figure(theme, height=height)
    if window.sum() == 0 or baseline.sum() == 0:
        return say(figure, "Scores are unknown for this window", theme)
    shares = [counts.reshape(SHOWN_BINS, -1).sum(axis=1) / counts.sum() for counts in (baseline, window)]
    edges = np.linspace(0, 1, SHOWN_BINS + 1)
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=shares[1],
        marker={"color": theme.cool},
        name="this window",
        hovertemplate="score %{x:.2f}: %{y:.1%}<extra></extra>",
    )
    figure.add_scatter(
        x=edges,
        y=np.r_[shares[0], shares[0][-1]],
        mode="lines",
        line={"color": theme.ink, "width": 1.6, "shape": "hv"},
        name="baseline",
        hovertemplate="baseline: %{y:.1%}<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1], title={"text": "score"}, tickformat=".0%", showgrid=False)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    figure.update_layout(bargap=0.12)
    return figure
