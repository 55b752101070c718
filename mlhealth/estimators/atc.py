"""ATC: average thresholded confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline.record import FittedState
from mlhealth.errors import DataError
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.intervals import Answering, value_estimates
from mlhealth.estimators.posterior import CLASSIFICATION
from mlhealth.estimators.reference import Reference, checked, labels
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.records import PerformanceEstimate
from mlhealth.schema.model_schema import Task

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ATC(Estimator):
    """Accuracy as the share of rows whose confidence exceeds a threshold.

    The threshold is where the share of reference rows above it equals the reference's accuracy. Confidence
    is the score of the predicted class; for two classes every usual confidence orders rows alike. Ties at
    the threshold count by the share that makes the reference exact.

    Source: Garg et al., "Leveraging unlabeled data to predict out-of-distribution performance", ICLR 2022.

    Assumes that confidence separates right from wrong rows. Poor on tables with noise in the labels; fails
    where a broken input makes the model more sure, and under concept drift. Only accuracy has a threshold
    of this kind.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> method = ATC.fit(FitInputs(synthetic_rows(2000).rows, ("accuracy", "f1")))
    >>> found = method.estimate(synthetic_rows(1000, seed=1).rows)
    >>> 0.7 < found["accuracy"].value < 0.9, found["f1"].status.value
    (True, 'not_identifiable')
    """

    name: ClassVar[str] = "atc"
    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION
    reference: Reference
    threshold: float
    tied: float
    """Share of the rows exactly at the threshold that count as right."""
    accuracy: float

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        rows = checked(cls.name, inputs)
        if rows.scores is None:
            raise DataError(
                "method atc: it thresholds scores and the model logs none: log scores or use cbpe"
            )
        sure = np.sort(_confidence(rows))
        accuracy = float(np.mean(rows.prediction == labels(rows)))
        threshold = float(sure[min(int(np.floor((1.0 - accuracy) * len(sure))), len(sure) - 1)])
        at = float(np.mean(sure == threshold))
        tied = float(np.clip((accuracy - np.mean(sure > threshold)) / max(at, 1e-12), 0.0, 1.0))
        return cls(Reference.of(rows, tuple(inputs.metrics)), threshold, tied, accuracy)

    def _answer(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        del scorer
        by = Answering(self.name, self.reference, window.schema, level)
        rows = len(window)
        if rows == 0 or window.scores is None:
            why = "the window has no rows" if rows == 0 else "the window has no scores"
            return value_estimates(by, rows, dict.fromkeys(self.reference.metrics, why))
        sure = _confidence(window)
        value = float(np.mean(sure > self.threshold) + self.tied * np.mean(sure == self.threshold))
        known = self.accuracy * (1.0 - self.accuracy)
        # the window's share is taken twice from one sample: its labels vary, and so does the threshold's own error
        variance = max(value * (1.0 - value), 1.0 / (rows + 4.0)) / rows + 2.0 * known / self.reference.rows
        other = "method atc has a threshold for accuracy only"
        values: dict[str, tuple[float, float] | str] = dict.fromkeys(self.reference.metrics, other)
        if "accuracy" in values:
            values["accuracy"] = value, variance + value * (1.0 - value) / rows
        return value_estimates(by, rows, values)

    def state(self) -> FittedState:
        return FittedState(
            {
                "reference": self.reference.params(),
                "threshold": self.threshold,
                "tied": self.tied,
                "accuracy": self.accuracy,
            }
        )

    @classmethod
    def from_state(cls, state: FittedState) -> Self:
        p = state.params
        reference = Reference.of_params(p["reference"])
        return cls(reference, float(p["threshold"]), float(p["tied"]), float(p["accuracy"]))


def _confidence(rows: Rows) -> Floats:
    assert rows.scores is not None
    return rows.scores[np.arange(len(rows)), rows.prediction.astype(np.int64)]
