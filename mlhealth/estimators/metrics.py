"""Realised metrics of labelled rows, with their standard errors; names and ranges come from `metric_names`.

Every metric is a smooth function of sums over rows, so one formula each gives its value and its standard
error (by the infinitesimal jackknife: the root of the summed squared influence of the rows).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline.record import ReferenceMetric
from mlhealth.estimators.class_metrics import ClassOutcomes, evaluate_classes
from mlhealth.estimators.loss_metrics import LossMoments, evaluate_losses, row_losses
from mlhealth.estimators.metric_names import Metric, confusion_metrics, default_metrics, metric_of
from mlhealth.estimators.rows import Rows

__all__ = [
    "Metric",
    "Realised",
    "confusion_metrics",
    "default_metrics",
    "labelled",
    "metric_of",
    "realised",
    "reference_metrics",
]


@dataclass(frozen=True)
class Realised:
    """A metric of labelled rows and its standard error; None with the reason in `note`."""

    value: float | None
    standard_error: float | None
    note: str | None = None


def labelled(rows: Rows) -> Rows:
    """Return the rows that have a label (an absent one is -1 or NaN); none where `label` is None."""
    if rows.label is None:
        return rows.take(np.zeros(0, dtype=np.intp))
    known = rows.label >= 0 if rows.schema.is_classification else np.isfinite(rows.label)
    return rows if bool(known.all()) else rows.take(np.flatnonzero(known))


def realised(rows: Rows, metrics: Iterable[str]) -> dict[str, Realised]:
    """Return each metric of the labelled rows among `rows`, with its standard error."""
    rows = labelled(rows)
    names = list(metrics)
    if rows.label is None or len(rows) == 0:
        return {name: Realised(None, None, "no row has a label") for name in names}
    if rows.schema.is_classification:
        return _realised_classes(rows, names)
    return _realised_losses(rows, rows.label.astype(np.float64), names)


def _realised_losses(rows: Rows, label: NDArray[np.float64], names: list[str]) -> dict[str, Realised]:
    losses = row_losses(rows.prediction.astype(np.float64), label)
    moments = LossMoments.of(losses)
    out = {}
    for name in names:
        metric_of(name, rows.schema)
        value = evaluate_losses(name, moments)
        if value.value is None:
            out[name] = Realised(None, None, value.note)
            continue
        influence = moments.centred(losses) @ value.gradient / len(rows)
        out[name] = Realised(value.value, float(np.sqrt(influence @ influence)))
    return out


def _realised_classes(rows: Rows, names: list[str]) -> dict[str, Realised]:
    outcomes = ClassOutcomes.of_labels(rows)
    out = {}
    for name in names:
        metric_of(name, rows.schema)
        value = evaluate_classes(name, outcomes)
        if value.value is None:
            out[name] = Realised(None, None, value.note)
            continue
        influence = (value.gradient * outcomes.posterior).sum(axis=1)
        out[name] = Realised(value.value, float(np.sqrt(influence @ influence)))
    return out


def reference_metrics(rows: Rows, metrics: Iterable[str]) -> dict[str, ReferenceMetric]:
    """Return the realised metrics that are defined, as a baseline keeps them."""
    found = realised(rows, metrics)
    return {
        name: ReferenceMetric(m.value, m.standard_error)
        for name, m in found.items()
        if m.value is not None and m.standard_error is not None
    }
