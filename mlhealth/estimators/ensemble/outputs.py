"""A model's answers as unbounded numbers and back: log-odds for classes, standard units for values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.rows import Rows
from mlhealth.schema.model_schema import ModelSchema

Floats = NDArray[np.float64]
SATURATED = 7.0
"""Log-odds beyond which a classifier's answer counts as certain."""
WITHOUT_SCORES = 2.0
"""Log-odds that stand for a class label logged without its score."""


@dataclass(frozen=True)
class OutputSpace:
    """How answers of one model are written as numbers (n, p).

    `classes`: 0 for regression. `scored`: whether scores are logged. `cut`: log-odds above which a binary model
    predicts the positive class. `centre`, `spread`: of a regressor's predictions.
    """

    classes: int
    scored: bool
    cut: float = 0.0
    centre: float = 0.0
    spread: float = 1.0

    @classmethod
    def of(cls, reference: Rows) -> OutputSpace:
        """Learn from reference rows how predictions follow from scores."""
        k = len(reference.schema.classes)
        if not reference.schema.is_classification:
            values = reference.prediction.astype(float)
            return cls(0, False, 0.0, float(values.mean()), float(values.std()) or 1.0)
        space = cls(k, reference.scores is not None)
        if k != 2 or reference.scores is None:
            return space
        return cls(2, True, _cut(space.numbers(reference)[:, 0], reference.prediction == 1))

    def numbers(self, rows: Rows) -> Floats:
        """Return the answers as numbers, (n, p)."""
        if self.classes == 0:
            return ((rows.prediction.astype(float) - self.centre) / self.spread)[:, None]
        if rows.scores is None or not self.scored:
            logits = np.where(
                np.eye(self.classes)[rows.prediction.astype(int)] > 0, WITHOUT_SCORES, -WITHOUT_SCORES
            )
            return np.asarray(logits[:, 1:] if self.classes == 2 else logits)
        scores = np.clip(rows.scores, 1e-9, 1.0)
        if self.classes == 2:
            return np.clip(np.log(scores[:, 1:] / scores[:, :1]), -SATURATED, SATURATED)
        return np.clip(np.log(scores / np.maximum(1.0 - scores, 1e-9)), -SATURATED, SATURATED)

    def answers(self, numbers: Floats) -> tuple[NDArray[Any], Floats | None]:
        """Return predictions (n,) and scores (n, k) from numbers."""
        if self.classes == 0:
            return numbers[:, 0] * self.spread + self.centre, None
        if self.classes == 2:
            positive = 1.0 / (1.0 + np.exp(-numbers[:, 0]))
            scores = np.column_stack([1.0 - positive, positive])
            return (numbers[:, 0] > self.cut).astype(np.int64), scores if self.scored else None
        odds = 1.0 / (1.0 + np.exp(-numbers))
        scores = odds / odds.sum(axis=1, keepdims=True)
        return scores.argmax(axis=1), scores if self.scored else None

    def params(self) -> dict[str, Any]:
        """Return this as JSON-able parameters."""
        return {"classes": self.classes, "scored": self.scored, "cut": self.cut, "centre": self.centre,
                "spread": self.spread}  # fmt: skip

    @classmethod
    def of_params(cls, params: Mapping[str, Any]) -> OutputSpace:
        """Return the space that `params` was taken from."""
        return cls(**dict(params))


def _cut(logit: Floats, positive: NDArray[np.bool_]) -> float:
    """Return the log-odds that best separate predicted classes, 0 where that does no worse."""
    order = np.argsort(logit, kind="stable")
    ordered, flags = logit[order], positive[order]
    wrong = np.concatenate([[0], np.cumsum(flags)]) + np.concatenate([[0], np.cumsum(~flags[::-1])])[::-1]
    best = int(np.argmin(wrong))
    if ((logit > 0) != positive).sum() <= wrong[best]:
        return 0.0
    if best == 0:
        return float(ordered[0]) - 1.0
    return float(ordered[best - 1] + ordered[min(best, len(ordered) - 1)]) / 2


def merged(
    schema: ModelSchema, features: Any, answered: tuple[NDArray[Any], Floats | None], label: Any
) -> Rows:
    """Return rows from features, answers and labels."""
    if schema.is_classification:
        return Rows(schema, features, answered[0].astype(np.int64), answered[1], label)
    return Rows(schema, features, answered[0].astype(np.float64), None, label)
