"""A figure on a page: its title, what it says in words for those who can't see it, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from mlhealth.dashboards.drawing import Drawing
from mlhealth.dashboards.web.render import safe_json


@dataclass(frozen=True)
class Chart:
    """One figure; `json` is drawn by static/charts.js, which repaints it for dark screens."""

    title: str
    alt: str
    json: Markup
    height: int
    note: str = ""
    wide: bool = False

    @classmethod
    def of(cls, figure: Drawing, title: str, alt: str, note: str = "", *, wide: bool = False) -> Chart:
        """Return a chart of a figure drawn in the light theme; a `wide` one takes the whole width of the page."""
        return cls(title, alt, safe_json(figure.to_json()), figure.height, note, wide)
