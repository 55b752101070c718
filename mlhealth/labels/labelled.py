"""What labels say of a window: its realised metrics with their sampling interval, and estimates from a few labels.

Three designs, told apart because different things may be concluded from them (`LabelDesign`). Labels of the whole kept
sample are the metric itself. Labels that arrived by themselves speak for the window only if they came for a random part
of it, which is tested. Labels of drawn rows speak for the window whatever was drawn, since the probabilities are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from mlhealth.baseline.record import Baseline
from mlhealth.estimators.few_labels import (
    LEAST_LABELS,
    LabelSample,
    few_label_estimates,
    label_maturity,
)
from mlhealth.estimators.intervals import Answering
from mlhealth.estimators.metric_names import metric_of
from mlhealth.estimators.metrics import Realised, realised
from mlhealth.estimators.reference import Reference
from mlhealth.estimators.row_model import RowModel, plain_row_model
from mlhealth.estimators.rows import Rows
from mlhealth.labels.kept_sample import KeptSample
from mlhealth.records import (
    EstimateStatus,
    LabelDesign,
    LabelReport,
    PerformanceEstimate,
    WindowReport,
)

Floats = NDArray[np.float64]
METHOD = "few_labels"
MATURE = 0.9
"""Share of the kept rows from which on labels that arrived are used rather than those that were drawn."""


@dataclass(frozen=True)
class Labelled:
    """The kept rows of a window (or segment) of `window_rows` events, with labels (n,), and how the rows were drawn.

    `label`: class index or value, -1 or NaN where none has come. `drawn`: (n,) probability with which each row was
    drawn for labelling, 0 where it was not; None where nothing was drawn.
    """

    sample: KeptSample
    label: NDArray[np.int64] | NDArray[np.float64]
    window_rows: int
    drawn: Floats | None = None

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return which rows have a label, (n,)."""
        return self.label >= 0 if self.sample.schema.is_classification else np.isfinite(self.label)

    def filter(self, mask: NDArray[np.bool_], window_rows: int) -> Labelled:
        """Return the rows of a segment of `window_rows` rows."""
        drawn = None if self.drawn is None else self.drawn[mask]
        return Labelled(self.sample.filter(mask), self.label[mask], window_rows, drawn)


class LabelReader:
    """A baseline made ready to read labels; build it once and keep it."""

    def __init__(self, baseline: Baseline, level: float = 0.9) -> None:
        self.schema = baseline.schema
        self._level = level
        names = tuple(baseline.metrics)
        values: dict[str, float | None] = {name: baseline.metrics[name].value for name in names}
        self._reference = Reference(names, values, dict.fromkeys(names), baseline.rows.num_rows, 0)
        self._otherwise: RowModel = plain_row_model(baseline)

    def read(self, report: WindowReport, found: Labelled) -> WindowReport:
        """Return the report with what the labels say; without any label, as it is without labels."""
        known = found.known
        if not known.any():
            return replace(report, realized={}, labels=None)
        rows = found.sample.rows(found.label)
        design, chosen = _design(found, known)
        plain = realised(rows, self._reference.metrics)
        if design is LabelDesign.WHOLE:
            realized, intervals = self._shown(plain, found, len(rows))
            labels = LabelReport(design, int(known.sum()), len(rows), intervals=intervals)
            labels = replace(labels, estimates=self._exact(realized, intervals))
            return replace(report, realized=realized, labels=labels)
        return self._of_some(report, found, rows, (design, chosen, plain))

    def _of_some(
        self,
        report: WindowReport,
        found: Labelled,
        rows: Rows,
        how: tuple[LabelDesign, LabelSample, Mapping[str, Realised]],
    ) -> WindowReport:
        design, chosen, plain = how
        maturity = label_maturity(rows if design is LabelDesign.ARRIVED else rows.take(chosen.positions))
        known, selective, note = int(found.known.sum()), maturity.selective, None
        usable = int(found.known[chosen.positions].sum())
        estimates: Mapping[str, PerformanceEstimate] = {}
        if usable < LEAST_LABELS:
            note = f"{usable} labels have come that can be used; estimates from labels need {LEAST_LABELS}"
        elif selective:
            note = maturity.note
        else:
            estimates = self._corrected(rows, found, chosen, plain)
        realized, intervals = self._shown(plain, found, known)
        if design is LabelDesign.DRAWN:
            realized, intervals = _of_estimates(estimates)
        labels = LabelReport(design, known, len(rows), selective, estimates, intervals, note)
        return replace(report, realized=realized, labels=labels)

    def _corrected(
        self, rows: Rows, found: Labelled, chosen: LabelSample, plain: Mapping[str, Realised]
    ) -> dict[str, PerformanceEstimate]:
        expected = found.sample.expected(self._otherwise)
        by = Answering(METHOD, self._reference, self.schema, self._level)
        out = few_label_estimates(by, rows, expected, chosen)
        return {name: self._widened(e, found, plain[name]) for name, e in out.items()}

    def _widened(
        self, estimate: PerformanceEstimate, found: Labelled, plain: Realised
    ) -> PerformanceEstimate:
        """Add what the kept sample may differ from the window by."""
        half = self._half(plain, found, len(found.sample)) * np.sqrt(found.known.mean())
        if half == 0.0 or estimate.value is None or estimate.lower is None or estimate.upper is None:
            return estimate
        known = metric_of(estimate.metric, self.schema)
        lower = estimate.value - float(np.hypot(estimate.value - estimate.lower, half))
        upper = estimate.value + float(np.hypot(estimate.upper - estimate.value, half))
        return replace(estimate, lower=max(lower, known.lower), upper=min(upper, known.upper))

    def _half(self, metric: Realised, found: Labelled, rows: int) -> float:
        """Return the half-width of the sampling interval of a metric of `rows` rows of the window."""
        left = max(1.0 - rows / max(found.window_rows, rows, 1), 0.0)
        return float(ndtri(0.5 + self._level / 2.0)) * (metric.standard_error or 0.0) * float(np.sqrt(left))

    def _shown(
        self, plain: Mapping[str, Realised], found: Labelled, rows: int
    ) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
        values = {name: metric.value for name, metric in plain.items() if metric.value is not None}
        intervals = {}
        for name, value in values.items():
            known, half = metric_of(name, self.schema), self._half(plain[name], found, rows)
            intervals[name] = max(value - half, known.lower), min(value + half, known.upper)
        return values, intervals

    def _exact(
        self, realized: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]
    ) -> dict[str, PerformanceEstimate]:
        return {
            name: PerformanceEstimate(
                name, value, *intervals[name], EstimateStatus.OK, METHOD, self._reference.values[name], self._level
            )
            for name, value in realized.items()
        }  # fmt: skip


def _design(found: Labelled, known: NDArray[np.bool_]) -> tuple[LabelDesign, LabelSample]:
    """Return how the labels came about, and the rows that estimates rest on with their probabilities."""
    share = float(known.mean())
    if share == 1.0:
        return LabelDesign.WHOLE, LabelSample(np.zeros(0, np.intp), np.zeros(0))
    if found.drawn is not None and found.drawn.any() and share < MATURE:
        positions = np.flatnonzero(found.drawn > 0.0)
        return LabelDesign.DRAWN, LabelSample(positions, found.drawn[positions])
    positions = np.flatnonzero(known)
    return LabelDesign.ARRIVED, LabelSample(positions, np.full(len(positions), share))


def _of_estimates(
    estimates: Mapping[str, PerformanceEstimate],
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Return values and intervals of drawn labels: their plain mean would speak of the rows that were drawn."""
    found = {n: e for n, e in estimates.items() if e.value is not None}
    values = {n: e.value for n, e in found.items() if e.value is not None}
    intervals = {
        n: (e.lower, e.upper) for n, e in found.items() if e.lower is not None and e.upper is not None
    }
    return values, intervals
