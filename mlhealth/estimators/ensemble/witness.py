"""Witnesses for a regressor's window that drifted as a whole: small models on parts of the columns.

Off the reference's support nothing bounds a regressor's losses, and labelled rows say nothing of them. How far the
deployed model departs from models that see other columns does.
"""

from __future__ import annotations

from dataclasses import replace

from mlhealth.errors import DataError
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.ensemble.surrogate import Surrogate
from mlhealth.estimators.rows import Rows
from mlhealth.estimators.views import RedundantViews

TOLD = ("mae", "rmse")
"""Metrics that disagreement tells of."""


def fit_witness(inputs: FitInputs, surrogate: Surrogate) -> RedundantViews | None:
    """Fit redundant views of a regressor's reference; None for classifiers, and where the rows do not suffice.

    Rows broken on purpose are answered by the deployed model, or else by its stand-in.
    """
    metrics = tuple(m for m in inputs.metrics if m in TOLD)
    if inputs.reference.schema.is_classification or not metrics:
        return None
    scorer = inputs.scorer or surrogate.alone(inputs.reference)
    try:
        return RedundantViews.fit(replace(inputs, metrics=metrics, scorer=scorer))
    except DataError:
        return None


def witnessed(witness: RedundantViews | None, window: Rows) -> dict[str, float]:
    """Return what the views make of a window's losses, by metric; empty without them."""
    if witness is None:
        return {}
    return {m: e.value for m, e in witness.estimate(window).items() if e.value is not None}
