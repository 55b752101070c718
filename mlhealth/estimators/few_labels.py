"""Few labels: a window's metric from labels sampled with known probabilities, with the estimate as control variate.

The only thing that sees concept drift. The difference estimator (Särndal et al., "Model assisted survey
sampling", 1992; as prediction-powered inference, Angelopoulos et al., Science 2023, arXiv 2301.09633) is
unbiased for the window's own metric whatever the row model says, and the closer that is to the truth the
narrower the interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import chi2_contingency, ks_2samp

from mlhealth.errors import ConfigError, DataError
from mlhealth.estimators.base import Estimator
from mlhealth.estimators.class_metrics import ClassOutcomes, evaluate_classes
from mlhealth.estimators.dle import DLE
from mlhealth.estimators.intervals import Answering, value_estimates
from mlhealth.estimators.loss_metrics import SQUARED, LossMoments, evaluate_losses, row_losses
from mlhealth.estimators.mpp_row import MPPRow
from mlhealth.estimators.posterior import PosteriorEstimator
from mlhealth.estimators.rows import Rows
from mlhealth.records import PerformanceEstimate

Floats = NDArray[np.float64]
Values = dict[str, tuple[float, float] | str]
LEAST_LABELS = 20
UNIFORM = 0.2
"""Share of the sampling probability that every row gets alike, so that no row's weight runs away."""
SELECTIVE = 0.01


@dataclass(frozen=True)
class LabelSample:
    """Rows of a window chosen for labelling: `positions` (m,) and the probability with which each was, (m,)."""

    positions: NDArray[np.intp]
    probabilities: Floats


def row_expectations(estimator: Estimator, window: Rows) -> Floats:
    """Return what a fitted method expects of each row: P(class), (n, k), or losses, (n, 6).

    Raises ConfigError for a method that speaks of whole windows only.
    """
    if isinstance(estimator, PosteriorEstimator):
        return estimator.posterior(window).probabilities
    if isinstance(estimator, DLE):
        return estimator.model.expected(window)
    if isinstance(estimator, MPPRow):
        return estimator.row_expectations(window)
    raise ConfigError(f"method {estimator.name} does not speak of single rows: use cbpe, mpp_row or dle")


def suggest_labels(window: Rows, expected: Floats, count: int, rng: np.random.Generator) -> LabelSample:
    """Choose `count` rows for labelling, more often where the row model is less sure.

    Probabilities are proportional to the expected spread of the row's error, mixed with the uniform; the
    draw is randomised systematic, so that its size is fixed and the probabilities exact.

    >>> from mlhealth.estimators.synthetic import synthetic_rows
    >>> made = synthetic_rows(1000)
    >>> chosen = suggest_labels(made.rows, made.truth, 100, np.random.default_rng(0))
    >>> len(chosen.positions), bool((chosen.probabilities <= 1).all())
    (100, True)
    """
    n = len(window)
    probability = inclusion_probabilities(window, expected, count)
    order = rng.permutation(n)
    ends = np.cumsum(probability[order])
    ticks = rng.random() + np.arange(count)
    chosen = order[np.minimum(np.searchsorted(ends, ticks, side="right"), n - 1)]
    positions = np.sort(np.unique(chosen))
    return LabelSample(positions, probability[positions])


def inclusion_probabilities(window: Rows, expected: Floats, count: int) -> Floats:
    """Return with which probability `suggest_labels` chooses each row, (n,), summing to `count`."""
    n = len(window)
    if not 1 <= count <= n:
        raise ConfigError(f"cannot choose {count} rows of a window of {n}: ask for 1 to {n} labels")
    return _capped(_spread(window, expected), count)


def _spread(window: Rows, expected: Floats) -> Floats:
    """Return the expected standard deviation of each row's error, mixed with the uniform, mean 1."""
    if window.schema.is_classification:
        right = expected[np.arange(len(window)), window.prediction.astype(np.int64)]
        size = np.sqrt(np.clip(right * (1.0 - right), 0.0, None))
    else:
        size = np.sqrt(np.clip(expected[:, SQUARED], 0.0, None))
    mean = float(size.mean())
    return UNIFORM + (1.0 - UNIFORM) * (size / mean if mean > 0 else np.ones(len(window)))


def _capped(size: Floats, count: int) -> Floats:
    """Return probabilities proportional to `size` that sum to `count`, none above 1."""
    certain = np.zeros(len(size), bool)
    for _ in range(len(size)):
        rest = count - int(certain.sum())
        scaled = np.where(certain, 1.0, size * rest / max(float(size[~certain].sum()), 1e-300))
        over = (scaled > 1.0) & ~certain
        if not over.any():
            return np.asarray(np.minimum(scaled, 1.0), np.float64)
        certain |= over
    return np.ones(len(size))


def few_label_estimates(
    by: Answering, window: Rows, expected: Floats, sample: LabelSample
) -> dict[str, PerformanceEstimate]:
    """Return the window's metrics from `window.label` at the sampled rows and `expected` elsewhere.

    Each sampled row's expectation is corrected by (truth - expectation) / probability; the metric of the
    corrected rows is unbiased. The variance is Horvitz and Thompson's for independent draws, and not less
    than the row model itself expects, which guards small samples without a single error. Raises DataError
    for too few labels.
    """
    if window.label is None:
        raise DataError("few labels: the window has no label column: join the labels first")
    known = window.label[sample.positions]
    there = np.flatnonzero(known >= 0 if window.schema.is_classification else np.isfinite(known))
    if len(there) < LEAST_LABELS:
        raise DataError(
            f"few labels: {len(there)} labels have come, {LEAST_LABELS} are needed: label more rows"
        )
    # labels that are still missing at random lower every row's probability alike
    came = len(there) / len(sample.positions)
    sample = LabelSample(sample.positions[there], sample.probabilities[there] * came)
    if window.schema.is_classification:
        values = _classes(by, window, expected, sample)
    else:
        values = _losses(by, window, expected, sample)
    return value_estimates(by, len(window), values)


def _classes(by: Answering, window: Rows, expected: Floats, sample: LabelSample) -> Values:
    assert window.label is not None
    at, p = sample.positions, sample.probabilities
    truth = np.eye(expected.shape[1])[window.label[at].astype(np.int64)]
    residual = truth - expected[at]
    corrected = expected.copy()
    corrected[at] += residual / p[:, None]
    outcomes = ClassOutcomes.of(window, corrected)
    values: Values = {}
    for name in by.reference.metrics:
        if name == "average_precision":
            values[name] = "too few labels for the precision at every score: use roc_auc, or label all rows"
            continue
        found = evaluate_classes(name, outcomes)
        if found.value is None:
            values[name] = found.note or "not defined"
            continue
        slope = found.gradient[at]
        seen = (slope * residual).sum(axis=1) ** 2
        mean = (slope * expected[at]).sum(axis=1)
        believed = np.maximum((slope**2 * expected[at]).sum(axis=1) - mean**2, 0.0)
        values[name] = found.value, _design_variance(p, seen, believed)
    return values


def _losses(by: Answering, window: Rows, expected: Floats, sample: LabelSample) -> Values:
    assert window.label is not None
    at, p = sample.positions, sample.probabilities
    actual = row_losses(window.prediction[at].astype(np.float64), window.label[at].astype(np.float64))
    residual = actual - expected[at]
    means = expected.mean(axis=0) + (residual / p[:, None]).sum(axis=0) / len(window)
    means[:3] = np.maximum(means[:3], 0.0)
    moments = LossMoments(means, len(window))
    values: Values = {}
    for name in by.reference.metrics:
        found = evaluate_losses(name, moments)
        if found.value is None:
            values[name] = found.note or "not defined"
            continue
        seen = (residual @ found.gradient / len(window)) ** 2
        values[name] = found.value, _design_variance(p, seen, np.zeros(len(p)))
    return values


def _design_variance(probability: Floats, seen: Floats, believed: Floats) -> float:
    factor = np.maximum(1.0 - probability, 0.0) / probability**2
    small = len(probability) / max(len(probability) - 1.0, 1.0)
    return max(float(factor @ seen) * small, float(factor @ believed))


def labels_needed(window: Rows, expected: Floats, metric: str, half_width: float, level: float = 0.9) -> int:
    """Return how many labels give an interval of about `half_width` to either side, by what the row model expects.

    Raises ConfigError where the width is not positive or the metric is not defined for the window.
    """
    if half_width <= 0:
        raise ConfigError(f"an interval cannot have half-width {half_width}: give a positive number")
    inverse, whole = _per_label(window, expected, metric)
    variance = (half_width / float(ndtri(0.5 + level / 2.0))) ** 2
    needed = inverse / (variance + whole)
    return int(np.clip(np.ceil(needed), LEAST_LABELS, max(len(window), LEAST_LABELS)))


def expected_half_width(window: Rows, expected: Floats, metric: str, count: int, level: float = 0.9) -> float:
    """Return about how far to either side an interval from `count` drawn labels will reach; undoes `labels_needed`."""
    inverse, whole = _per_label(window, expected, metric)
    variance = max(inverse / max(count, 1) - whole, 0.0)
    return float(ndtri(0.5 + level / 2.0)) * float(np.sqrt(variance))


def _per_label(window: Rows, expected: Floats, metric: str) -> tuple[float, float]:
    """Return the variance of a metric times the number of labels, and what of it all rows' labels would take away."""
    if window.schema.is_classification:
        found = evaluate_classes(metric, ClassOutcomes.of(window, expected))
        mean = (expected * found.gradient).sum(axis=1)
        size = np.sqrt(np.maximum((expected * found.gradient**2).sum(axis=1) - mean**2, 0.0))
        note = None if found.value is not None else found.note
    else:
        loss = evaluate_losses(metric, LossMoments.of(expected))
        size = (
            np.sqrt(np.maximum(expected[:, SQUARED], 0.0)) * _per_unit(loss.gradient, expected) / len(window)
        )
        note = None if loss.value is not None else loss.note
    if note is not None:
        raise ConfigError(f"{metric} is not defined for this window: {note}")
    return float((size**2 / _spread(window, expected)).sum() * len(window)), float(size @ size)


def _per_unit(gradient: Floats, expected: Floats) -> float:
    """Return how a metric moves per unit of a row's error, from its gradient by mean losses."""
    root = float(np.sqrt(max(float(expected[:, SQUARED].mean()), 1e-300)))
    return float(np.abs(gradient[0]) + 2.0 * root * np.abs(gradient[1])) or 1.0


@dataclass(frozen=True)
class Maturity:
    """Whether the labelled rows of a window look like the unlabelled ones; `note` says how they differ."""

    labelled: int
    unlabelled: int
    p_value: float | None
    selective: bool
    note: str | None = None


def label_maturity(window: Rows) -> Maturity:
    """Compare scores and predictions of rows whose label has come with those of the rest (p < 0.01: selective).

    A metric of selectively matured labels speaks of other rows than the window's, however many there are.
    """
    if window.label is None:
        return Maturity(0, len(window), None, selective=False, note="no row has a label")
    has = window.label >= 0 if window.schema.is_classification else np.isfinite(window.label)
    here, rest = int(has.sum()), int((~has).sum())
    if min(here, rest) < LEAST_LABELS:
        return Maturity(here, rest, None, selective=False)
    tests = [_differs(values, has) for values in _outputs(window)]
    p = min(1.0, len(tests) * min(tests))
    note = None
    if p < SELECTIVE:
        note = f"labels came for other rows than a random part of the window (p = {p:.2g}): the metric is theirs only"
    return Maturity(here, rest, p, selective=p < SELECTIVE, note=note)


def _outputs(window: Rows) -> list[Floats]:
    if not window.schema.is_classification or window.scores is None:
        return [window.prediction.astype(np.float64)]
    return [window.prediction.astype(np.float64), *window.scores.T[1 if len(window.scores.T) == 2 else 0 :]]


def _differs(values: Floats, has: NDArray[np.bool_]) -> float:
    """Return the p-value that labelled and unlabelled rows share one distribution of `values`."""
    distinct, place = np.unique(values, return_inverse=True)
    if len(distinct) < 2:
        return 1.0
    if len(distinct) > 20:
        return float(ks_2samp(values[has], values[~has], method="asymp").pvalue)
    table = np.stack(
        [np.bincount(place[has], minlength=len(distinct)), np.bincount(place[~has], minlength=len(distinct))]
    )
    return float(chi2_contingency(table).pvalue)
