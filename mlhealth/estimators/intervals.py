"""From a value and its variance to an estimate: intervals inside the metric's range, and the reasons where none is.

The interval speaks of the metric that the window would show if its labels came, hence has in it the
sampling of the window's labels given its rows, and the sampling of the reference that the method learnt
from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from mlhealth.estimators.class_metrics import ClassOutcomes, evaluate_classes
from mlhealth.estimators.loss_metrics import LossMoments, evaluate_losses
from mlhealth.estimators.metric_names import metric_of
from mlhealth.estimators.reference import Reference
from mlhealth.estimators.rows import Rows
from mlhealth.records import EstimateStatus, PerformanceEstimate
from mlhealth.schema.model_schema import ModelSchema

Floats = NDArray[np.float64]
COUNTED = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "confusion:")
"""Metrics that move in steps of about 1/n, whose intervals reach half a step further (continuity correction)."""

WIDEST = 20.0
"""Logarithm of the ratio of an interval's end to its value, at most: wider says no more."""


@dataclass(frozen=True)
class Answering:
    """Who answers: the method, what it keeps of the reference, the level asked, and how far it can be relied on."""

    method: str
    reference: Reference
    schema: ModelSchema
    level: float
    status: EstimateStatus = EstimateStatus.OK
    note: str | None = None

    def refuse(self, metric: str, note: str) -> PerformanceEstimate:
        """Return the estimate that says why there is none."""
        return PerformanceEstimate(
            metric,
            None,
            None,
            None,
            EstimateStatus.NOT_IDENTIFIABLE,
            self.method,
            self.reference.values.get(metric),
            self.level,
            note=note,
        )

    def answer(self, metric: str, value: float, variance: float, rows: int) -> PerformanceEstimate:
        """Return the estimate of a metric of `rows` rows with this value and error variance."""
        half = float(ndtri(0.5 + self.level / 2.0)) * float(np.sqrt(max(variance, 0.0)))
        return self.within(metric, value, half, rows)

    def within(self, metric: str, value: float, half: float, rows: int) -> PerformanceEstimate:
        """Return the estimate of a metric of `rows` rows with an interval that reaches `half` to either side.

        Positive metrics without a greatest value have intervals by ratio, which never reach 0.
        """
        if not (np.isfinite(value) and np.isfinite(half)):
            return self.refuse(metric, "the rows give no finite estimate: look for extreme values")
        known = metric_of(metric, self.schema)
        half += 0.5 / max(rows, 1) if metric.startswith(COUNTED) else 0.0
        value = float(np.clip(value, known.lower, known.upper))
        if known.by_ratio and value > 0.0:
            factor = float(np.exp(min(half / value, WIDEST)))
            lower, upper = value / factor, value * factor
        else:
            lower, upper = max(value - half, known.lower), min(value + half, known.upper)
        return PerformanceEstimate(
            metric,
            value,
            lower,
            upper,
            self.status,
            self.method,
            self.reference.values.get(metric),
            self.level,
            note=self.note,
        )


def class_estimates(
    by: Answering, window: Rows, posterior: Floats, effective: float | None = None
) -> dict[str, PerformanceEstimate]:
    """Return the expected metrics of window rows under class probabilities `posterior`, (n, k).

    The variance is that of the labels given the rows (Poisson-binomial, by the delta method), times (1 + n
    / m) for the m (`effective`, by default all) reference rows behind the probabilities.
    """
    outcomes = ClassOutcomes.of(window, posterior)
    size = max(by.reference.rows if effective is None else effective, 1.0)
    out = {}
    for name in by.reference.metrics:
        found = evaluate_classes(name, outcomes)
        if found.value is None:
            out[name] = by.refuse(name, found.note or "not defined")
            continue
        mean = np.einsum("nk,nk->n", posterior, found.gradient)
        variance = float(np.einsum("nk,nk->", posterior, found.gradient**2) - mean @ mean)
        out[name] = by.answer(name, found.value, variance * (1.0 + len(window) / size), len(window))
    return out


@dataclass(frozen=True)
class LossModelError:
    """How far expected losses lie from true ones on held-out reference rows.

    `means`: (6,) mean expected losses; `covariance`: (6, 6) of the residuals (see `loss_metrics` for the
    columns).
    """

    means: Floats
    covariance: Floats

    @classmethod
    def of(cls, expected: Floats, actual: Floats) -> LossModelError:
        """Measure held-out expected against actual losses, both (n, 6)."""
        return cls(expected.mean(axis=0), np.cov((actual - expected).T))

    def scaled_to(self, means: Floats) -> Floats:
        """Return the covariance for rows whose expected losses have other means, (6, 6).

        Residuals of a loss grow as the loss does; those of the true value as the error does.
        """
        ratio = np.maximum(means[:3], 1e-12) / np.maximum(self.means[:3], 1e-12)
        spread = float(np.sqrt(ratio[1]))
        diagonal = np.concatenate([ratio, [1.0, spread, spread]])
        return self.covariance * np.outer(diagonal, diagonal)


def loss_estimates(
    by: Answering, expected: Floats, error: LossModelError, effective: float | None = None
) -> dict[str, PerformanceEstimate]:
    """Return the metrics of rows with expected losses (n, 6), with sampling and reference error."""
    moments = LossMoments.of(expected) if len(expected) else LossMoments(np.full(6, np.nan), 0)
    covariance = error.scaled_to(moments.means)
    size = max(by.reference.rows if effective is None else effective, 1.0)
    out = {}
    for name in by.reference.metrics:
        found = evaluate_losses(name, moments)
        if found.value is None:
            note = found.note if len(expected) else "the window has no rows"
            out[name] = by.refuse(name, note or "not defined")
            continue
        one_row = float(found.gradient @ covariance @ found.gradient)
        out[name] = by.answer(name, found.value, one_row * (1 / len(expected) + 1 / size), len(expected))
    return out


def value_estimates(
    by: Answering, rows: int, values: Mapping[str, tuple[float, float] | str]
) -> dict[str, PerformanceEstimate]:
    """Return estimates from (value, variance) per metric, or from the reason why there is none."""
    out = {}
    for name in by.reference.metrics:
        found = values.get(name, f"method {by.method} does not estimate {name}")
        out[name] = by.refuse(name, found) if isinstance(found, str) else by.answer(name, *found, rows)
    return out
