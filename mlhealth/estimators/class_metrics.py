"""Metrics of classifiers on soft labels: value and gradient by each row's class probability.

With one-hot labels these are the usual metrics. With posteriors P(class | row) in their place they are the
plug-in expectations that confidence-based estimation needs (Kivimäki et al., 2025, arXiv 2505.05295). Every
metric is homogeneous of degree 0 in the row weights, so the inner product of a row's gradient with its
label is that row's influence, and one gradient gives sampling error, reference error and weighting alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.metric_names import confusion_cell, cost_matrix
from mlhealth.estimators.rows import Rows
from mlhealth.schema.model_schema import ModelSchema, Task

Floats = NDArray[np.float64]
LEAST_MASS = 1.0
"""Expected rows of a class below which a metric that divides by their number is not defined."""
LEAST_PROBABILITY = float(np.finfo(np.float64).eps)
"""Where the log loss cuts probabilities off, so that it stays finite."""


@dataclass(frozen=True)
class Evaluated:
    """A metric's value and its gradient by each row's soft label, (n, k); None with the reason in `note`."""

    value: float | None
    gradient: Floats
    note: str | None = None


@dataclass(frozen=True)
class ClassOutcomes:
    """Rows with soft labels: `posterior` (n, k) rows summing to 1; `weight` (n,), mean 1."""

    schema: ModelSchema
    prediction: NDArray[np.int64]
    scores: Floats | None
    posterior: Floats
    weight: Floats

    @classmethod
    def of(cls, rows: Rows, posterior: Floats, weight: Floats | None = None) -> ClassOutcomes:
        """Return the outcomes of `rows` under the given class probabilities."""
        w = np.ones(len(rows)) if weight is None else weight / weight.mean()
        return cls(rows.schema, rows.prediction.astype(np.int64), rows.scores, posterior, w)

    @classmethod
    def of_labels(cls, rows: Rows, weight: Floats | None = None) -> ClassOutcomes:
        """Return the outcomes of labelled rows (every row must have its label)."""
        if rows.label is None:
            raise ValueError("rows without labels have no outcomes")
        return cls.of(rows, np.eye(len(rows.schema.classes))[rows.label.astype(np.int64)], weight)

    @cached_property
    def mass(self) -> Floats:
        """Weighted soft labels, (n, k)."""
        return self.posterior * self.weight[:, None]

    @cached_property
    def cells(self) -> Floats:
        """Expected confusion matrix, (true, predicted), in rows."""
        k = len(self.schema.classes)
        return np.stack(
            [np.bincount(self.prediction, weights=self.mass[:, c], minlength=k) for c in range(k)]
        )

    @cached_property
    def rankings(self) -> dict[int, tuple[NDArray[np.intp], int]]:
        """By class of interest its rows' places in the order of distinct scores, and how many there are."""
        out = {}
        for c in _classes_of_interest(self.schema) if self.scores is not None else ():
            distinct, place = np.unique(_scores(self)[:, c], return_inverse=True)
            out[c] = (place, len(distinct))
        return out


def evaluate_classes(name: str, outcomes: ClassOutcomes) -> Evaluated:
    """Return the metric `name` of the outcomes, with its gradient."""
    if len(outcomes.prediction) == 0:
        return _undefined(outcomes, "the window has no rows")
    if name in _FROM_SCORES:
        if outcomes.scores is None:
            return _undefined(outcomes, f"{name} needs the model's scores, and none are logged")
        return _FROM_SCORES[name](outcomes)
    if name in _FROM_CELLS:
        return _of_cells(outcomes, *_FROM_CELLS[name](outcomes.cells, _classes_of_interest(outcomes.schema)))
    if name.startswith("confusion:"):
        target = np.zeros_like(outcomes.cells)
        target[confusion_cell(name, outcomes.schema)] = 1.0
        return _of_cells(outcomes, *_mean_of(outcomes.cells, target))
    return _of_cells(outcomes, *_mean_of(outcomes.cells, cost_matrix(name, outcomes.schema)))


def _undefined(outcomes: ClassOutcomes, note: str) -> Evaluated:
    return Evaluated(None, np.zeros_like(outcomes.posterior), note)


def _classes_of_interest(schema: ModelSchema) -> list[int]:
    return [1] if schema.task is Task.BINARY else list(range(len(schema.classes)))


Cells = tuple[float | None, Floats, str | None]


def _of_cells(outcomes: ClassOutcomes, value: float | None, slope: Floats, note: str | None) -> Evaluated:
    return Evaluated(value, outcomes.weight[:, None] * slope.T.take(outcomes.prediction, axis=0), note)


def _mean_of(cells: Floats, target: Floats) -> Cells:
    total = cells.sum()
    value = float((cells * target).sum() / total)
    return value, (target - value) / total, None


def _ratio(top: Floats, bottom: Floats, cells: Floats) -> tuple[float | None, Floats]:
    """Return (cells . top) / (cells . bottom) and its gradient by the cells."""
    below = float((cells * bottom).sum())
    if below <= 0.0:
        return None, np.zeros_like(cells)
    value = float((cells * top).sum()) / below
    return value, (top - value * bottom) / below


def _macro(parts: list[tuple[float | None, Floats]], cells: Floats, note: str) -> Cells:
    known = [(value, slope) for value, slope in parts if value is not None]
    if not known:
        return None, np.zeros_like(cells), note
    return float(np.mean([v for v, _ in known])), np.mean([s for _, s in known], axis=0), None


def _indicator(cells: Floats, rows: int | None = None, columns: int | None = None) -> Floats:
    out = np.zeros_like(cells)
    out[slice(None) if rows is None else rows, slice(None) if columns is None else columns] = 1.0
    return out


def _accuracy(cells: Floats, _: list[int]) -> Cells:
    return _mean_of(cells, np.eye(len(cells)))


def _recall(cells: Floats, classes: list[int]) -> Cells:
    parts = [_ratio(_indicator(cells, c, c), _indicator(cells, rows=c), cells) for c in classes]
    return _macro(parts, cells, "no row of the positive class")


def _balanced_accuracy(cells: Floats, _: list[int]) -> Cells:
    return _recall(cells, list(range(len(cells))))


def _precision(cells: Floats, classes: list[int]) -> Cells:
    parts = [_ratio(_indicator(cells, c, c), _indicator(cells, columns=c), cells) for c in classes]
    if len(classes) > 1:  # a class that occurs but is never predicted counts as 0, as is usual
        occurring = cells.sum(axis=1) > 0
        parts = [
            (0.0, g) if v is None and occurring[c] else (v, g)
            for c, (v, g) in zip(classes, parts, strict=True)
        ]
    return _macro(parts, cells, "no row is predicted positive")


def _f1(cells: Floats, classes: list[int]) -> Cells:
    parts = [
        _ratio(2 * _indicator(cells, c, c), _indicator(cells, rows=c) + _indicator(cells, columns=c), cells)
        for c in classes
    ]
    return _macro(parts, cells, "no row is of the positive class or predicted so")


_FROM_CELLS: dict[str, Callable[[Floats, list[int]], Cells]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
}


def _one_vs_rest(
    outcomes: ClassOutcomes, of_class: Callable[[ClassOutcomes, int], tuple[float, Floats, Floats] | None]
) -> Evaluated:
    values, gradients = [], []
    for c in _classes_of_interest(outcomes.schema):
        found = of_class(outcomes, c)
        if found is None:
            continue
        value, by_positive, by_negative = found
        gradient = np.repeat(by_negative[:, None], outcomes.posterior.shape[1], axis=1)
        gradient[:, c] = by_positive
        values.append(value)
        gradients.append(gradient * outcomes.weight[:, None])
    if not values:
        return _undefined(outcomes, "fewer than one row expected of the positive or of the negative class")
    return Evaluated(float(np.mean(values)), np.mean(gradients, axis=0))


def _masses(outcomes: ClassOutcomes, c: int) -> tuple[Floats, Floats] | None:
    positive = outcomes.mass[:, c]
    negative = outcomes.weight - positive
    if min(positive.sum(), negative.sum()) < LEAST_MASS - 1e-9:
        return None
    return positive, negative


def _auc_of_class(outcomes: ClassOutcomes, c: int) -> tuple[float, Floats, Floats] | None:
    """Return P(score of a positive > score of a negative), ties half, and its slopes by either mass.

    A row's pair with itself is left out, so that soft labels are not pulled towards one half.
    """
    masses = _masses(outcomes, c)
    if masses is None:
        return None
    positive, negative = masses
    place, groups = outcomes.rankings[c]
    at_positive = np.bincount(place, positive, groups)
    at_negative = np.bincount(place, negative, groups)
    negatives_below = (np.cumsum(at_negative) - 0.5 * at_negative)[place]
    positives_above = (at_positive.sum() - np.cumsum(at_positive) + 0.5 * at_positive)[place]
    own = float(positive @ negative)
    pairs = positive.sum() * negative.sum() - own
    if pairs <= 0.0:
        return None
    value = float((positive @ negatives_below - 0.5 * own) / pairs)
    by_positive = (negatives_below - 0.5 * negative - value * (negative.sum() - negative)) / pairs
    by_negative = (positives_above - 0.5 * positive - value * (positive.sum() - positive)) / pairs
    return value, by_positive, by_negative


def _ap_of_class(outcomes: ClassOutcomes, c: int) -> tuple[float, Floats, Floats] | None:
    """Return the mean over positives of the precision at their score, and its slopes by either mass."""
    masses = _masses(outcomes, c)
    if masses is None:
        return None
    positive, negative = masses
    place, groups = outcomes.rankings[c]
    at_positive = np.bincount(place, positive, groups)
    above_positive = np.cumsum(at_positive[::-1])[::-1]
    above_negative = np.cumsum(np.bincount(place, negative, groups)[::-1])[::-1]
    above = np.maximum(above_positive + above_negative, 1e-300)
    precision, total = above_positive / above, at_positive.sum()
    value = float(at_positive @ precision / total)
    gain = np.cumsum(at_positive / total * above_negative / above**2)
    loss = np.cumsum(at_positive / total * above_positive / above**2)
    return value, ((precision - value) / total + gain)[place], -loss[place]


def _row_mean(outcomes: ClassOutcomes, loss: Floats) -> Evaluated:
    total = outcomes.mass.sum()
    value = float((outcomes.mass * loss).sum() / total)
    return Evaluated(value, outcomes.weight[:, None] * (loss - value) / total)


def _scores(outcomes: ClassOutcomes) -> Floats:
    return np.empty((0, 0)) if outcomes.scores is None else outcomes.scores


def _log_loss(outcomes: ClassOutcomes) -> Evaluated:
    return _row_mean(outcomes, -np.log(np.clip(_scores(outcomes), LEAST_PROBABILITY, 1.0)))


def _brier(outcomes: ClassOutcomes) -> Evaluated:
    scores = _scores(outcomes)
    loss = (scores**2).sum(axis=1, keepdims=True) - 2.0 * scores + 1.0
    return _row_mean(outcomes, loss / 2.0 if outcomes.schema.task is Task.BINARY else loss)


_FROM_SCORES: dict[str, Callable[[ClassOutcomes], Evaluated]] = {
    "roc_auc": lambda outcomes: _one_vs_rest(outcomes, _auc_of_class),
    "average_precision": lambda outcomes: _one_vs_rest(outcomes, _ap_of_class),
    "log_loss": _log_loss,
    "brier": _brier,
}
