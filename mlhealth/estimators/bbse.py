"""BBSE: black-box shift estimation of the class mix, behind a fit test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.class_mix import ClassMixEstimator
from mlhealth.estimators.intervals import Answering, class_estimates, value_estimates
from mlhealth.estimators.posterior import CLASSIFICATION
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.estimators.weighted import weighted_metric, weighted_variance
from mlhealth.records import EstimateStatus, PerformanceEstimate
from mlhealth.schema.model_schema import Task

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BBSE(ClassMixEstimator):
    """The reference's metric, weighted by class so that its predictions have the window's frequencies.

    w = C^-1 mu with C = P_ref(predicted, label) and mu the window's prediction rates, clipped at 0. Used
    only where these weights bring the reference's columns to the window's (see `label_shift`); else
    calibrated scores stand in and the note says so.

    Source: Lipton, Wang, Smola, "Detecting and correcting for label shift with black box predictors", ICML
    2018.

    Assumes label shift, and a confusion matrix that can be inverted; its error grows as the model gets
    poorer.

    >>> from mlhealth.estimators.base import FitInputs
    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> reference = synthetic_rows(2000).rows
    >>> rows = synthetic_rows(4000, seed=1).rows
    >>> fewer = rows.take(np.flatnonzero((rows.label == 0) | (np.arange(4000) % 5 == 0)))
    >>> found = BBSE.fit(FitInputs(reference, ("f1",))).estimate(fewer)["f1"]
    >>> found.reference - found.value > 0.1
    True
    """

    name: ClassVar[str] = "bbse"
    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION

    def _answer(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        del scorer
        prediction = window.prediction.astype(np.int64)
        ratio, covariance = self._ratio(prediction, len(window.schema.classes))
        weight = ratio[self.label]
        fit = self.explains(ratio, self.kept.encoded(window))
        by = Answering(self.name, self.reference, window.schema, level)
        if not fit.accepted:
            by = by if fit.nothing_moved else replace(by, status=EstimateStatus.WIDENED, note=fit.note)
            return class_estimates(by, window, self.calibrator.posterior(prediction, window.scores))
        values: dict[str, tuple[float, float] | str] = {}
        for name in self.reference.metrics:
            found = weighted_metric(name, self.kept, window.schema, weight)
            if isinstance(found, str):
                values[name] = found
                continue
            slope = np.bincount(self.label, found[1], len(ratio)) / np.maximum(ratio, 1e-3)
            variance = weighted_variance(found[1], weight, len(window)) + float(slope @ covariance @ slope)
            values[name] = found[0], variance
        return value_estimates(by, len(window), values)

    def _ratio(self, prediction: NDArray[np.int64], k: int) -> tuple[Floats, Floats]:
        """Return the class weights, (k,), and their covariance, (k, k)."""
        joint = np.zeros((k, k))
        np.add.at(joint, (self.kept.prediction.astype(np.int64), self.label), 1.0)
        joint = (joint + 0.5 / k) / (len(self.kept) + 0.5 * k)
        rows = max(len(prediction), 1)
        rates = (np.bincount(prediction, minlength=k) + 0.5 / k) / (rows + 0.5)
        inverse = np.linalg.pinv(joint)
        ratio = np.clip(inverse @ rates, 0.0, None)
        mean = float(ratio @ joint.sum(axis=0))
        noise = (np.diag(rates) - np.outer(rates, rates)) * (1.0 / rows + 1.0 / len(self.kept))
        return ratio / max(mean, 1e-9), inverse @ noise @ inverse.T
