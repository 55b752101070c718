"""Every chart as the plain data that pages send to a browser: records in, `Drawing` out; see `figures`."""

from __future__ import annotations

from mlhealth.dashboards.distribution_figures import FeatureCounts, distribution_figure
from mlhealth.dashboards.feature_figures import feature_drift_figure, feature_quality_figure
from mlhealth.dashboards.health_figures import health_figure
from mlhealth.dashboards.heat_figures import confusion_figure, drift_figure
from mlhealth.dashboards.performance_figures import estimate_figure
from mlhealth.dashboards.score_figures import Calibration, calibration_figure, cost_figure, scores_figure
from mlhealth.dashboards.segment_figures import segments_figure
from mlhealth.dashboards.timeline_figures import timeline_figure
from mlhealth.dashboards.version_figures import difference_figure, disagreement_figure, versions_figure

__all__ = [
    "Calibration",
    "FeatureCounts",
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
