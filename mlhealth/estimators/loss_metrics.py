"""Metrics of regressors as smooth functions of mean losses per row: value and gradient by those means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ABSOLUTE, SQUARED, RELATIVE, NONZERO, TRUTH, TRUTH_SQUARED = range(6)
COLUMNS = 6
"""Losses of a row: |e|, e^2, |e|/|y|, whether y is not 0 (else the former is 0), y and y^2, with e = y -
prediction."""


def row_losses(prediction: Floats, truth: Floats) -> Floats:
    """Return each row's losses, (n, COLUMNS)."""
    error = truth - prediction
    nonzero = truth != 0.0
    relative = np.where(nonzero, np.abs(error) / np.where(nonzero, np.abs(truth), 1.0), 0.0)
    return np.column_stack([np.abs(error), error**2, relative, nonzero, truth, truth**2])


@dataclass(frozen=True)
class LossMoments:
    """Mean losses, (COLUMNS,), of `rows` rows, known or expected."""

    means: Floats
    rows: int

    @classmethod
    def of(cls, losses: Floats, weight: Floats | None = None) -> LossMoments:
        """Return the (weighted) means of row losses."""
        return cls(np.average(losses, axis=0, weights=weight), len(losses))

    def centred(self, losses: Floats) -> Floats:
        """Return row losses less their means."""
        return losses - self.means


@dataclass(frozen=True)
class EvaluatedLoss:
    """A metric's value and its gradient by the mean losses; None with the reason in `note`."""

    value: float | None
    gradient: Floats
    note: str | None = None


def evaluate_losses(name: str, moments: LossMoments) -> EvaluatedLoss:
    """Return the regression metric `name` (mae, rmse, mape or r2) of mean losses."""
    slope = np.zeros(COLUMNS)
    means = moments.means
    if not np.isfinite(means).all():
        return EvaluatedLoss(None, slope, "predictions or losses are not finite")
    if name == "mae":
        slope[ABSOLUTE] = 1.0
        return EvaluatedLoss(float(means[ABSOLUTE]), slope)
    if name == "rmse":
        root = float(np.sqrt(max(means[SQUARED], 0.0)))
        slope[SQUARED] = 0.5 / root if root > 0 else 0.0
        return EvaluatedLoss(root, slope)
    return _mape(means, slope) if name == "mape" else _r2(moments, slope)


def _mape(means: Floats, slope: Floats) -> EvaluatedLoss:
    if means[NONZERO] <= 0:
        return EvaluatedLoss(None, slope, "every true value is 0")
    value = float(means[RELATIVE] / means[NONZERO])
    slope[RELATIVE], slope[NONZERO] = 1.0 / means[NONZERO], -value / means[NONZERO]
    return EvaluatedLoss(value, slope)


def _r2(moments: LossMoments, slope: Floats) -> EvaluatedLoss:
    means = moments.means
    spread = float(means[TRUTH_SQUARED] - means[TRUTH] ** 2)
    if moments.rows < 2 or spread <= 1e-12 * max(float(means[TRUTH_SQUARED]), 1e-300):
        return EvaluatedLoss(None, slope, "the true values do not vary, or there are fewer than two")
    share = float(means[SQUARED]) / spread
    slope[SQUARED] = -1.0 / spread
    slope[TRUTH_SQUARED] = share / spread
    slope[TRUTH] = -2.0 * share * means[TRUTH] / spread
    return EvaluatedLoss(1.0 - share, slope)
