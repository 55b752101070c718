"""Methods that answer by P(class | row): they give the probabilities, the metrics and intervals follow from them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.base import Estimator
from mlhealth.estimators.intervals import Answering, class_estimates
from mlhealth.estimators.reference import Reference
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.records import EstimateStatus, PerformanceEstimate
from mlhealth.schema.model_schema import Task

CLASSIFICATION = frozenset({Task.BINARY, Task.MULTICLASS})


@dataclass(frozen=True)
class Posterior:
    """P(class | row), (n, k), how many reference rows it rests on, and how far it can be relied on."""

    probabilities: NDArray[np.float64]
    effective: float
    status: EstimateStatus = EstimateStatus.OK
    note: str | None = None


class PosteriorEstimator(Estimator):
    """Estimates every metric of a classifier from class probabilities of the window's rows."""

    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION
    reference: Reference

    @abstractmethod
    def posterior(self, window: Rows) -> Posterior:
        """Return P(class | row) for the rows of a window."""

    def _answer(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        """Return the expected metrics of the window; the scorer is not asked."""
        del scorer
        found = self.posterior(window)
        by = Answering(self.name, self.reference, window.schema, level, found.status, found.note)
        return class_estimates(by, window, found.probabilities, found.effective)
