"""The look of every figure: one colour-blind-safe palette in two themes, and a quiet Plotly layout.

Hues follow Okabe and Ito (2008), "Color Universal Design"; status is never told by colour alone, but also by shape or
text. The light palette's colours are all different, so that a page can repaint a figure for a dark screen by replacing
each with its counterpart (`dark_colours`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from mlhealth.dashboards.drawing import Drawing
from mlhealth.records import HealthStatus


@dataclass(frozen=True)
class Theme:
    """Colours by role, as CSS texts."""

    ink: str
    muted: str
    grid: str
    surface: str
    estimate: str
    band: str
    realised: str
    reference: str
    limit: str
    healthy: str
    degraded: str
    critical: str
    unknown: str
    unknown_fill: str
    cool: str
    cool_pale: str
    neutral: str
    warm_pale: str
    warm: str
    warm_deep: str

    def status(self, status: HealthStatus) -> str:
        """Return the colour of a health status."""
        return {
            HealthStatus.HEALTHY: self.healthy,
            HealthStatus.DEGRADED: self.degraded,
            HealthStatus.CRITICAL: self.critical,
            HealthStatus.UNKNOWN: self.unknown,
        }[status]


LIGHT = Theme(
    ink="#1c2128",
    muted="#59636e",
    grid="#e6e9ed",
    surface="#ffffff",
    estimate="#0b6aa8",
    band="rgba(11,106,168,0.16)",
    realised="#7d3c98",
    reference="#6b7580",
    limit="#c2410b",
    healthy="#00845f",
    degraded="#c98500",
    critical="#cc3311",
    unknown="#8b95a1",
    unknown_fill="rgba(139,149,161,0.22)",
    cool="#9cc4de",
    cool_pale="#d5e6f1",
    neutral="#f3f5f7",
    warm_pale="#f7b76d",
    warm="#d95f0e",
    warm_deep="#7f2704",
)
DARK = Theme(
    ink="#e6e9ee",
    muted="#9aa5b1",
    grid="#2a313b",
    surface="#161b22",
    estimate="#58b1ea",
    band="rgba(88,177,234,0.20)",
    realised="#d7a6ee",
    reference="#8d98a5",
    limit="#ff8f5c",
    healthy="#33c194",
    degraded="#f0b232",
    critical="#ff7a5c",
    unknown="#7d8794",
    unknown_fill="rgba(125,135,148,0.26)",
    cool="#2f5f7e",
    cool_pale="#24445a",
    neutral="#1e2630",
    warm_pale="#8a4a12",
    warm="#e07b2d",
    warm_deep="#ffd2a3",
)
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Noto Sans', sans-serif"
SYMBOLS = {
    HealthStatus.HEALTHY: "circle",
    HealthStatus.DEGRADED: "triangle-up",
    HealthStatus.CRITICAL: "x",
    HealthStatus.UNKNOWN: "circle-open",
}
"""Marker of each status, so that it can be told without colour."""


def dark_colours() -> dict[str, str]:
    """Return the dark counterpart of every light colour."""
    return {getattr(LIGHT, f.name): getattr(DARK, f.name) for f in fields(Theme)}


def empty_figure(theme: Theme, *, height: int) -> Drawing:
    """Return a figure without traces in the house style; `height` in pixels."""
    figure = Drawing()
    figure.update_layout(
        height=height,
        margin={"l": 52, "r": 12, "t": 30, "b": 34},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 12, "color": theme.muted},
        hoverlabel={
            "bgcolor": theme.surface,
            "bordercolor": theme.grid,
            "font": {"color": theme.ink, "size": 12},
        },
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": {"size": 11}},
        hovermode="closest",
        dragmode="zoom",
    )
    figure.update_xaxes(**axis(theme))
    figure.update_yaxes(**axis(theme), automargin=True)
    return figure


def axis(theme: Theme) -> dict[str, object]:
    """Return the settings shared by all axes."""
    return {
        "gridcolor": theme.grid,
        "zeroline": False,
        "linecolor": theme.grid,
        "tickcolor": theme.grid,
        "tickfont": {"size": 11},
        "title": {"font": {"size": 11}, "standoff": 6},
    }


def say(figure: Drawing, text: str, theme: Theme) -> Drawing:
    """Write `text` where the data would be: an empty chart says why it is empty."""
    figure.add_annotation(
        text=text,
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        showarrow=False,
        font={"size": 13, "color": theme.muted},
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure
