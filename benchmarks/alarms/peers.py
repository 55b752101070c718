"""The documented default rules of two peers, applied by code of our own to the same windows.

NannyML's univariate drift with its default method (Jensen-Shannon, Doane bins, constant threshold 0.1), its CBPE with
thresholds at three standard deviations of reference chunks; Evidently's data drift preset (Kolmogorov-Smirnov or
chi-squared at p < 0.05 up to 1,000 reference rows; Wasserstein over the standard deviation, or Jensen-Shannon, at
0.1 beyond; drift of the data set when half of the columns drift). Their own packages are not run here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.cbpe import CBPE
from mlhealth.estimators.rows import Rows

CHUNKS = 10
LIMIT = 0.1


class PeerRules:
    """Peers' default thresholds, fitted on the reference where they are fitted at all."""

    def __init__(self, reference: Rows, metric: str) -> None:
        self._reference = reference
        self._metric = metric
        self._cbpe = CBPE.fit(FitInputs(reference, (metric,)))
        parts = np.array_split(np.arange(len(reference)), CHUNKS)
        values = [self._estimate(reference.take(part)) for part in parts]
        self._low = float(np.mean(values) - 3.0 * np.std(values))

    def __call__(self, window: Rows) -> dict[str, bool]:
        """Return which rules alarm on a window."""
        distances = [self._distance(window, name) for name in window.schema.feature_names]
        drifted = [self._drifted(window, name) for name in window.schema.feature_names]
        return {
            "NannyML drift, any column": max(distances) > LIMIT,
            "NannyML CBPE": self._estimate(window) < self._low,
            "Evidently, any column": any(drifted),
            "Evidently, half of columns": float(np.mean(drifted)) >= 0.5,
        }

    def _estimate(self, rows: Rows) -> float:
        return float(self._cbpe.estimate(replace(rows, label=None))[self._metric].value or 0.0)

    def _distance(self, window: Rows, name: str) -> float:
        a, b = self._reference.features[name].dropna(), window.features[name].dropna()
        if len(b) == 0:
            return 1.0
        if name not in window.schema.numeric:
            return _distance_of_counts(a, b)
        edges = np.histogram_bin_edges(a.to_numpy(float), bins="doane")
        edges[0], edges[-1] = min(edges[0], b.min()), max(edges[-1], b.max())
        p, q = (np.histogram(v.to_numpy(float), edges)[0] for v in (a, b))
        return _jensen_shannon(p, q)

    def _drifted(self, window: Rows, name: str) -> bool:
        if name not in window.schema.numeric:
            return self._distance(window, name) > LIMIT
        a, b = self._reference.features[name].dropna(), window.features[name].dropna()
        if len(b) == 0:
            return True
        return bool(wasserstein_distance(a, b) / max(float(np.std(a)), 1e-3) > LIMIT)


def _distance_of_counts(a: pd.Series, b: pd.Series) -> float:
    values = pd.Index(a.unique()).union(pd.Index(b.unique()))
    p, q = (v.value_counts().reindex(values, fill_value=0).to_numpy(np.int64) for v in (a, b))
    return _jensen_shannon(p, q)


def _jensen_shannon(p: NDArray[Any], q: NDArray[Any]) -> float:
    return float(np.nan_to_num(jensenshannon(p, q, base=2)))
