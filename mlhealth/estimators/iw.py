"""IW: importance weighting of the labelled reference rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.domain import domain_weights
from mlhealth.estimators.intervals import Answering, value_estimates
from mlhealth.estimators.kept import KeptRows
from mlhealth.estimators.reference import Reference, checked
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.estimators.weighted import weighted_metric, weighted_variance
from mlhealth.records import PerformanceEstimate
from mlhealth.schema.model_schema import Task


@dataclass(frozen=True)
class ImportanceWeighting(Estimator):
    """The reference's own metric, its rows weighted so that they look like the window.

    metric(R, w) with w(x) = p_window(x) / p_reference(x) from a cross-fitted domain classifier, shrunken to
    1 where held-out rows do not bear it out. The variance grows as the effective number of rows, (sum w)^2
    / sum w^2, falls.

    Source: Shimodaira, "Improving predictive inference under covariate shift by weighting the log-likelihood
    function", 2000; the ratio by classification is from Bickel et al., 2007.

    Assumes covariate shift: P(label | row) unchanged, and a reference that covers the window. Fails where
    supports part (the status then says so), as after broken inputs, and under concept drift.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> method = ImportanceWeighting.fit(FitInputs(synthetic_rows(2000).rows, ("accuracy",)))
    >>> found = method.estimate(synthetic_rows(1000, seed=1, shift=0.5).rows)["accuracy"]
    >>> 0.7 < found.lower < found.value < found.upper < 0.9
    True
    """

    name: ClassVar[str] = "iw"
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)
    reference: Reference
    kept: KeptRows
    seed: int

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        rows = checked(cls.name, inputs)
        return cls(Reference.of(rows, tuple(inputs.metrics)), KeptRows.of(rows), inputs.seed)

    def _answer(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        del scorer
        domain = domain_weights(self.kept.matrix, self.kept.encoded(window), self.seed)
        by = Answering(self.name, self.reference, window.schema, level, *domain.verdict)
        values: dict[str, tuple[float, float] | str] = {}
        for name in self.reference.metrics:
            found = weighted_metric(name, self.kept, window.schema, domain.weight)
            if isinstance(found, str):
                values[name] = found
                continue
            values[name] = found[0], weighted_variance(found[1], domain.weight, len(window))
        return value_estimates(by, len(window), values)

    def state(self) -> FittedState:
        return self.kept.state({"reference": self.reference.params(), "seed": self.seed})

    @classmethod
    def from_state(cls, state: FittedState) -> Self:
        reference = Reference.of_params(state.params["reference"])
        return cls(reference, KeptRows.of_state(state), int(state.params["seed"]))
