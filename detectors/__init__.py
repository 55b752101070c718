"""Drift and data-quality detectors: one method per file, named as in the literature."""

from __future__ import annotations

from mlhealth.detectors.delivery import delivery_faults
from mlhealth.detectors.multivariate import multivariate
from mlhealth.detectors.nulls import fit_nulls
from mlhealth.detectors.panel import Panel, main_drift, quality, run
from mlhealth.detectors.season import Season, SeasonalPanel

__all__ = [
    "Panel",
    "Season",
    "SeasonalPanel",
    "delivery_faults",
    "fit_nulls",
    "main_drift",
    "multivariate",
    "quality",
    "run",
]
