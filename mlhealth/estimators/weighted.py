"""Metrics of weighted labelled reference rows, with the variance they have as estimates for a window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.class_metrics import ClassOutcomes, evaluate_classes
from mlhealth.estimators.kept import KeptRows
from mlhealth.estimators.loss_metrics import LossMoments, evaluate_losses, row_losses
from mlhealth.schema.model_schema import ModelSchema

Floats = NDArray[np.float64]


def weighted_metric(
    name: str, kept: KeptRows, schema: ModelSchema, weight: Floats
) -> tuple[float, Floats] | str:
    """Return a metric of the weighted rows and each row's influence on it, (n_r,); or why it is not defined."""
    if schema.is_classification:
        outcomes = ClassOutcomes.of_labels(kept.rows(schema), weight)
        found = evaluate_classes(name, outcomes)
        if found.value is None:
            return found.note or "not defined"
        return found.value, (found.gradient * outcomes.posterior).sum(axis=1)
    losses = row_losses(kept.prediction.astype(np.float64), kept.label.astype(np.float64))
    moments = LossMoments.of(losses, weight)
    loss = evaluate_losses(name, moments)
    if loss.value is None:
        return loss.note or "not defined"
    return loss.value, weight / weight.sum() * (moments.centred(losses) @ loss.gradient)


def weighted_variance(influence: Floats, weight: Floats, rows: int) -> float:
    """Return the variance of a weighted metric as an estimate of the same metric of `rows` new rows.

    The first part is the reference's own sampling (infinitesimal jackknife), the second the window's.
    """
    used = weight > 1e-9
    window = len(weight) / max(rows, 1) * float(np.sum(influence[used] ** 2 / (weight[used] / weight.mean())))
    return float(influence @ influence) + window
