"""The contract of every label-free performance estimator.

`fit` sees labelled reference rows (that the deployed model was not trained on), optionally training rows
and a scorer; `estimate` sees an unlabelled window and answers for each metric it can. An estimator is
immutable after `fit`, gives the same answer for the same rows in any order, never NaN in an `ok` estimate,
never an interval outside the metric's range, and survives `state` / `from_state` exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.rows import Rows, Scorer, answered
from mlhealth.records import EstimateStatus, PerformanceEstimate
from mlhealth.schema.model_schema import Task

PRIMARY = {Task.BINARY: "accuracy", Task.MULTICLASS: "accuracy", Task.REGRESSION: "mae"}
"""The metric that the health score speaks of, by task, unless the user names another."""


@dataclass(frozen=True)
class FitInputs:
    """Everything an estimator may learn from.

    `reference`: labelled rows. `train`: labelled rows the model was trained on (their predictions may be
    over-confident), or None. `scorer`: asks the deployed model about made-up rows, or None. `metrics`: the
    metrics to estimate. `seed`: of all randomness.
    """

    reference: Rows
    metrics: Sequence[str]
    train: Rows | None = None
    scorer: Scorer | None = None
    seed: int = 0


class Estimator(ABC):
    """One method; see the module for what every implementation promises."""

    name: ClassVar[str]
    """The method's name as users write it (`--method NAME`)."""
    tasks: ClassVar[frozenset[Task]]
    """The tasks it can serve."""

    @classmethod
    @abstractmethod
    def fit(cls, inputs: FitInputs) -> Self:
        """Learn from reference rows; raises DataError, saying what to change, where they do not suffice."""

    def estimate(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        """Return an estimate for each metric asked at fit, by metric name, from unlabelled rows.

        `scorer` may be asked about made-up rows where the method knows how; without it the method does
        without. A row whose predicted value is no finite number has no loss: such rows are left out, and counted in
        the note.
        """
        usable = answered(window)
        found = self._answer(usable, scorer=scorer, level=level)
        left_out = len(window) - len(usable)
        if left_out == 0:
            return found
        why = f"{left_out} of {len(window)} predictions are no finite numbers; their rows were left out"
        return {metric: _lessened(estimate, why) for metric, estimate in found.items()}

    @abstractmethod
    def _answer(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        """Return what `estimate` does, for rows that all have a finite prediction."""

    @abstractmethod
    def state(self) -> FittedState:
        """Return all that `from_state` needs."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: FittedState) -> Self:
        """Return the estimator that `state` was taken from."""


def _lessened(estimate: PerformanceEstimate, why: str) -> PerformanceEstimate:
    """Return an estimate of only some of the rows: widened at best, and why."""
    status = EstimateStatus.WIDENED if estimate.status is EstimateStatus.OK else estimate.status
    return replace(estimate, status=status, note=why if estimate.note is None else f"{why}; {estimate.note}")
