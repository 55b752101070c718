"""Every chart of mlhealth: records in, `plotly.graph_objects.Figure` out; for notebooks and reports.

All take a `theme` (`LIGHT` or `DARK`), say "unknown" where a value is not known, and fit a phone's width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import plotly.graph_objects as go

from mlhealth.dashboards import drawings
from mlhealth.dashboards.drawing import Drawing
from mlhealth.dashboards.drawings import Calibration, FeatureCounts
from mlhealth.dashboards.theme import DARK, LIGHT, Theme

__all__ = [
    "DARK",
    "LIGHT",
    "Calibration",
    "FeatureCounts",
    "Theme",
    "calibration_figure",
    "confusion_figure",
    "cost_figure",
    "difference_figure",
    "disagreement_figure",
    "distribution_figure",
    "drift_figure",
    "estimate_figure",
    "feature_drift_figure",
    "feature_quality_figure",
    "health_figure",
    "scores_figure",
    "segments_figure",
    "timeline_figure",
    "versions_figure",
]

P = ParamSpec("P")


def _as_figure(draw: Callable[P, Drawing]) -> Callable[P, go.Figure]:
    """Return what `draw` draws as a Plotly figure."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> go.Figure:
        return draw(*args, **kwargs).figure()

    return drawn


calibration_figure = _as_figure(drawings.calibration_figure)
confusion_figure = _as_figure(drawings.confusion_figure)
cost_figure = _as_figure(drawings.cost_figure)
difference_figure = _as_figure(drawings.difference_figure)
disagreement_figure = _as_figure(drawings.disagreement_figure)
distribution_figure = _as_figure(drawings.distribution_figure)
drift_figure = _as_figure(drawings.drift_figure)
estimate_figure = _as_figure(drawings.estimate_figure)
feature_drift_figure = _as_figure(drawings.feature_drift_figure)
feature_quality_figure = _as_figure(drawings.feature_quality_figure)
health_figure = _as_figure(drawings.health_figure)
scores_figure = _as_figure(drawings.scores_figure)
segments_figure = _as_figure(drawings.segments_figure)
timeline_figure = _as_figure(drawings.timeline_figure)
versions_figure = _as_figure(drawings.versions_figure)
