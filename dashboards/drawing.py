"""`Drawing`: a figure as the plain data that Plotly draws.

`plotly.graph_objects` checks and copies whatever it is given, which takes longer than everything else on a page. Pages
therefore send a drawing's JSON as it is; whoever wants a `Figure` to work on gets one, checked, from `figure()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass
class Drawing:
    """Traces and layout in Plotly's own words; the methods are called as those of its `Figure`."""

    data: list[dict[str, Any]] = field(default_factory=list)
    layout: dict[str, Any] = field(default_factory=lambda: {"xaxis": {}, "yaxis": {}})

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.layout["height"])

    def add_scatter(self, **trace: Any) -> None:
        """Add lines or markers."""
        self.data.append({"type": "scatter", **trace})

    def add_bar(self, **trace: Any) -> None:
        """Add bars."""
        self.data.append({"type": "bar", **trace})

    def add_heatmap(self, **trace: Any) -> None:
        """Add a heat map."""
        self.data.append({"type": "heatmap", **trace})

    def add_annotation(self, **annotation: Any) -> None:
        """Add a text."""
        self.layout.setdefault("annotations", []).append(annotation)

    def update_layout(self, **changes: Any) -> None:
        """Change the layout; what is not named stays."""
        _merge(self.layout, changes)

    def update_xaxes(self, **changes: Any) -> None:
        """Change the horizontal axis."""
        _merge(self.layout["xaxis"], changes)

    def update_yaxes(self, **changes: Any) -> None:
        """Change every vertical axis."""
        for name in [name for name in self.layout if name.startswith("yaxis")]:
            _merge(self.layout[name], changes)

    def to_json(self) -> str:
        """Return data and layout as JSON; a number that is not finite becomes null."""
        content = {"data": self.data, "layout": self.layout}
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY, default=_plain).decode()

    def figure(self) -> go.Figure:
        """Return a Plotly figure; raises ValueError where Plotly does not know a word."""
        import plotly.graph_objects as go

        figure = go.Figure(data=self.data, layout=self.layout)
        figure.update_layout(template=None)
        return figure


def _merge(into: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        known = into.get(name)
        if isinstance(known, dict) and isinstance(value, Mapping):
            _merge(known, value)
        else:
            # A copy, so that two axes never share a part.
            into[name] = _copied(value)


def _copied(value: Any) -> Any:
    return {name: _copied(part) for name, part in value.items()} if isinstance(value, Mapping) else value


def _plain(value: Any) -> Any:
    """Return a numpy array of objects, which orjson does not take, as lists."""
    return value.tolist()
