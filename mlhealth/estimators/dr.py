"""DR: row model and importance weights together, right where either is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.base import Estimator, FitInputs
from mlhealth.estimators.class_metrics import ClassOutcomes, evaluate_classes
from mlhealth.estimators.domain import domain_weights
from mlhealth.estimators.error_model import ErrorModel, fit_error_model, spread_error
from mlhealth.estimators.intervals import Answering, value_estimates
from mlhealth.estimators.kept import KeptRows
from mlhealth.estimators.loss_metrics import LossMoments, evaluate_losses, row_losses
from mlhealth.estimators.loss_model import LossModel, fit_loss_model
from mlhealth.estimators.reference import Reference, checked
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.records import PerformanceEstimate
from mlhealth.schema.model_schema import Task

Floats = NDArray[np.float64]
Values = dict[str, tuple[float, float] | str]


@dataclass(frozen=True)
class DoublyRobust(Estimator):
    """The row model's answer for the window, corrected by its weighted error on the reference.

    m(T, g) + [m(R_w, truth) - m(R_w, g)], with g held-out row answers (class probabilities, or losses) and
    w the density ratio. With w = 1 this is the row model re-centred to the reference's true metric.

    Source: Robins, Rotnitzky, Zhao, "Estimation of regression coefficients when some regressors are not
    always observed", JASA 1994, carried over to metrics.

    Assumes covariate shift, and that either g or w is right. Fails as both do: off the support, concept
    drift.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> method = DoublyRobust.fit(FitInputs(synthetic_rows(1500).rows, ("accuracy",)))
    >>> found = method.estimate(synthetic_rows(1000, seed=1, shift=0.5).rows)["accuracy"]
    >>> 0.7 < found.lower < found.value < found.upper < 0.9
    True
    """

    name: ClassVar[str] = "dr"
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)
    reference: Reference
    kept: KeptRows
    model: ErrorModel | LossModel
    held_out: Floats
    seed: int

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        rows = checked(cls.name, inputs)
        reference, kept = Reference.of(rows, tuple(inputs.metrics)), KeptRows.of(rows)
        if rows.schema.is_classification:
            error = fit_error_model(rows, inputs.seed)
            prediction = rows.prediction.astype(np.int64)
            shape = error.model.calibrator.posterior(prediction, rows.scores)
            held_out = spread_error(shape, prediction, error.held_out)
            return cls(reference, kept, error.model, held_out, inputs.seed)
        loss = fit_loss_model(rows, reference.metrics, inputs.seed)
        return cls(reference, kept, loss.model, loss.held_out, inputs.seed)

    def _answer(
        self, window: Rows, *, scorer: Scorer | None = None, level: float = 0.9
    ) -> dict[str, PerformanceEstimate]:
        del scorer
        domain = domain_weights(self.kept.matrix, self.kept.encoded(window), self.seed)
        by = Answering(self.name, self.reference, window.schema, level, *domain.verdict)
        if isinstance(self.model, ErrorModel):
            values = self._classes(self.model, window, domain.weight)
        else:
            values = self._losses(self.model, window, domain.weight)
        return value_estimates(by, len(window), values)

    def _classes(self, model: ErrorModel, window: Rows, weight: Floats) -> Values:
        posterior = model.posterior(window)
        here = ClassOutcomes.of(window, posterior)
        reference = self.kept.rows(window.schema)
        expected = ClassOutcomes.of(reference, self.held_out, weight)
        true = ClassOutcomes.of_labels(reference, weight)
        values: Values = {}
        for name in self.reference.metrics:
            found, before = evaluate_classes(name, here), evaluate_classes(name, expected)
            after = evaluate_classes(name, true)
            if found.value is None or before.value is None or after.value is None:
                values[name] = found.note or before.note or after.note or "not defined"
                continue
            mean = (posterior * found.gradient).sum(axis=1)
            sampling = float((posterior * found.gradient**2).sum() - mean @ mean)
            residual = (before.gradient * (true.posterior - self.held_out)).sum(axis=1)
            values[name] = found.value + after.value - before.value, sampling + float(residual @ residual)
        return values

    def _losses(self, model: LossModel, window: Rows, weight: Floats) -> Values:
        actual = row_losses(self.kept.prediction.astype(np.float64), self.kept.label.astype(np.float64))
        share = weight / weight.sum()
        residual = actual - self.held_out
        here = model.expected(window)
        if len(window) == 0:
            return dict.fromkeys(self.reference.metrics, "the window has no rows")
        means = here.mean(axis=0) + share @ residual
        means[:3] = np.maximum(means[:3], 0.1 * here.mean(axis=0)[:3])  # a mean loss is not negative
        moments = LossMoments(means, len(window))
        covariance = model.error.scaled_to(means) / len(window)
        values: Values = {}
        for name in self.reference.metrics:
            found = evaluate_losses(name, moments)
            if found.value is None:
                values[name] = found.note or "not defined"
                continue
            influence = share * ((residual - share @ residual) @ found.gradient)
            sampling = float(found.gradient @ covariance @ found.gradient)
            values[name] = found.value, sampling + float(influence @ influence)
        return values

    def state(self) -> FittedState:
        params: Mapping[str, Any] = {
            "reference": self.reference.params(),
            "kind": type(self.model).__name__,
            "seed": self.seed,
        }
        model, kept = self.model.state(params), self.kept.state({})
        arrays = {**model.arrays, "held_out": self.held_out} | {
            f"kept/{k}": v for k, v in kept.arrays.items()
        }
        return replace(model, arrays=arrays)

    @classmethod
    def from_state(cls, state: FittedState) -> Self:
        kept = {k.removeprefix("kept/"): v for k, v in state.arrays.items() if k.startswith("kept/")}
        model_class = ErrorModel if state.params["kind"] == ErrorModel.__name__ else LossModel
        return cls(
            Reference.of_params(state.params["reference"]),
            KeptRows.of_state(FittedState({"encoder": state.params["encoder"]}, kept)),
            model_class.of_state(state),
            np.asarray(state.arrays["held_out"], np.float64),
            int(state.params["seed"]),
        )
