"""What is normal in one segment: the reference rows of that segment, so that it is compared with itself.

A segment may be harder than the whole, and its own column has one value: judged against all reference rows, it would
seem shifted and lossy for ever. Its drift is judged against its own reference rows, its loss against its own reference
metric, and what the estimator says of those rows beyond their true metric is taken off its estimates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from scipy.special import ndtri

from mlhealth.baseline.record import Baseline, ReferenceMetric
from mlhealth.detectors import Panel
from mlhealth.detectors.thresholds import Threshold
from mlhealth.estimators.metric_names import metric_of
from mlhealth.estimators.metrics import reference_metrics
from mlhealth.estimators.rows import Rows, rows_from_table
from mlhealth.events.batch import EventBatch
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import EstimateStatus, PerformanceEstimate
from mlhealth.segments.splitting import SegmentColumn

FEWEST_ROWS = 200
"""Segments with fewer reference rows have no reference of their own."""

Estimates = Mapping[str, PerformanceEstimate]


@dataclass(frozen=True)
class SegmentReference:
    """One segment's own reference: its rows, panel, metrics, and the estimator's error on those rows by metric."""

    column: str
    rows: Rows
    panel: Panel
    metrics: Mapping[str, ReferenceMetric]
    offsets: Mapping[str, float]

    def own(self, estimates: Estimates) -> dict[str, PerformanceEstimate]:
        """Return estimates of a window of the segment, in terms of the segment's own reference."""
        return {name: self._own(name, estimate) for name, estimate in estimates.items()}

    def _own(self, name: str, estimate: PerformanceEstimate) -> PerformanceEstimate:
        estimate = _apart(estimate, self.column)
        known = self.metrics.get(name)
        if known is None or estimate.value is None or estimate.lower is None or estimate.upper is None:
            return replace(estimate, reference=None if known is None else known.value)
        metric = metric_of(name, self.rows.schema)
        error = known.standard_error * float(ndtri((1.0 + estimate.level) / 2.0))
        value = float(np.clip(estimate.value - self.offsets.get(name, 0.0), metric.lower, metric.upper))
        below = float(np.hypot(estimate.value - estimate.lower, error))
        above = float(np.hypot(estimate.upper - estimate.value, error))
        return replace(
            estimate,
            value=value,
            lower=max(value - below, metric.lower),
            upper=min(value + above, metric.upper),
            reference=known.value,
        )


def segment_reference(
    baseline: Baseline,
    segment: str,
    columns: Sequence[SegmentColumn],
    estimate: Callable[[Rows], Estimates],
    thresholds: Mapping[tuple[str, str], Threshold] | None = None,
) -> SegmentReference | None:
    """Return a segment's own reference; None where the baseline kept too few of its rows.

    `columns`: by which traffic is told apart. `estimate`: what the estimator says of unlabelled rows.
    """
    column = next((c for c in columns if segment in c.segments), None)
    if column is None or column.name not in baseline.rows.column_names:
        return None
    mask = column.codes(baseline.rows) == column.segments.index(segment)
    if mask.sum() < FEWEST_ROWS:
        return None
    table = baseline.rows.filter(pa.array(mask))
    rows = rows_from_table(table, baseline.schema)
    known = reference_metrics(rows, tuple(baseline.metrics))
    said = estimate(replace(rows, label=None))
    offsets = {name: _offset(said.get(name), metric.value) for name, metric in known.items()}
    own = WindowProfile.of(EventBatch(baseline.schema, table), baseline.layout)
    return SegmentReference(column.name, rows, Panel(baseline, thresholds, reference=own), known, offsets)


def unknown(estimates: Estimates, segment: str) -> dict[str, PerformanceEstimate]:
    """Return estimates of a segment without a reference of its own: shown, but nothing is concluded from them."""
    note = (
        f"the reference has fewer than {FEWEST_ROWS} rows of {segment}: it is not known what is normal there"
    )
    status, column = EstimateStatus.NOT_IDENTIFIABLE, segment.split("=", 1)[0]
    return {
        name: replace(_apart(e, column), value=None, lower=None, upper=None, status=status, note=note)
        for name, e in estimates.items()
    }


def _apart(estimate: PerformanceEstimate, column: str) -> PerformanceEstimate:
    """Return an estimate that says nothing of the segment's own column."""
    faults = tuple(fault for fault in estimate.faults if fault.column != column)
    return replace(estimate, explanation=without(estimate.explanation, column), faults=faults)


def without(explanation: str | None, column: str) -> str | None:
    """Return an explanation without the clauses on the segment's own column.

    >>> without("sex is stuck at Male; age is missing", "sex")
    'age is missing'
    """
    clauses = [c for c in (explanation or "").split("; ") if c and not c.startswith(f"{column} ")]
    clauses = [c.split(", most in ")[0] if re.search(rf"\b{re.escape(column)}\b", c) else c for c in clauses]
    return "; ".join(clauses) or None


def _offset(said: PerformanceEstimate | None, true: float) -> float:
    return 0.0 if said is None or said.value is None else said.value - true
