"""What a baseline expects of single rows: the control variate by which a few labels go further."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline.record import Baseline
from mlhealth.estimators.base import Estimator
from mlhealth.estimators.few_labels import row_expectations
from mlhealth.estimators.loss_metrics import row_losses
from mlhealth.estimators.mpp_row import MPPRow
from mlhealth.estimators.posterior import PosteriorEstimator
from mlhealth.estimators.registry import estimator_named
from mlhealth.estimators.rows import Rows, rows_from_table

Floats = NDArray[np.float64]
RowModel = Callable[[Rows], Floats]
"""Rows in; P(class | row), (n, k), or each row's expected losses, (n, 6), out."""
PREFERRED = ("cbpe", "mpp_row", "dle")
"""Methods that speak of single rows, the cheaper first where both can."""


def row_model(baseline: Baseline) -> RowModel:
    """Return the best row model that the baseline has; without any, what the reference says of each prediction."""
    for name in (*PREFERRED, *baseline.estimators):
        if name not in baseline.estimators:
            continue
        method = estimator_named(name, baseline.schema.task).from_state(baseline.estimators[name])
        if _speaks_of_rows(method):
            return lambda rows, method=method: row_expectations(method, rows)  # type: ignore[misc]
    return plain_row_model(baseline)


def plain_row_model(baseline: Baseline) -> RowModel:
    """Return a row model that needs no features: class frequencies by prediction, or the reference's mean losses."""
    reference = rows_from_table(baseline.rows, baseline.schema)
    assert reference.label is not None
    if not baseline.schema.is_classification:
        label = reference.label.astype(np.float64)
        means = row_losses(reference.prediction.astype(np.float64), label).mean(axis=0)
        return lambda rows: np.tile(means, (len(rows), 1))
    size = len(baseline.schema.classes)
    counts = np.full((size, size), 1.0 / size)
    np.add.at(counts, (reference.prediction.astype(np.int64), reference.label.astype(np.int64)), 1.0)
    shares = counts / counts.sum(axis=1, keepdims=True)
    return lambda rows: np.asarray(shares[rows.prediction.astype(np.int64)], np.float64)


def _speaks_of_rows(method: Estimator) -> bool:
    return isinstance(method, PosteriorEstimator | MPPRow) or method.name == "dle"
