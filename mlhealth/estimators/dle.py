"""DLE: direct loss estimation for regressors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.intervals import Answering, loss_estimates
from mlhealth.estimators.loss_model import LossModel, fit_loss_model
from mlhealth.estimators.reference import Reference, checked
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.records import PerformanceEstimate
from mlhealth.schema.model_schema import Task


@dataclass(frozen=True)
class DLE(Estimator):
    """Boosted models of each row's loss, given features and prediction; metrics are means of their answers.

    One model each for |e|, e^2 and, where a metric asks for it, |e|/|y| and e. Losses are fitted by Poisson
    deviance, cross-fitted and scaled to the held-out mean, because the in-sample fit of a loss is too small.

    Source: NannyML's direct loss estimation; the changes named above are ours.

    Assumes that the distribution of the loss given the row is what it was in the reference. Fails under
    concept drift and off the reference's support: trees cannot answer with a loss greater than any they
    have seen.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> method = DLE.fit(FitInputs(synthetic_rows(1500, task=Task.REGRESSION).rows, ("mae",)))
    >>> found = method.estimate(synthetic_rows(500, seed=1, task=Task.REGRESSION).rows)["mae"]
    >>> 0.6 < found.lower < found.value < found.upper < 0.9
    True
    """

    name: ClassVar[str] = "dle"
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.REGRESSION})
    reference: Reference
    model: LossModel

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        rows = checked(cls.name, inputs)
        reference = Reference.of(rows, tuple(inputs.metrics))
        return cls(reference, fit_loss_model(rows, reference.metrics, inputs.seed).model)

    def _answer(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        del scorer
        by = Answering(self.name, self.reference, window.schema, level)
        return loss_estimates(by, self.model.expected(window), self.model.error)

    def state(self) -> FittedState:
        return self.model.state({"reference": self.reference.params()})

    @classmethod
    def from_state(cls, state: FittedState) -> Self:
        return cls(Reference.of_params(state.params["reference"]), LossModel.of_state(state))
