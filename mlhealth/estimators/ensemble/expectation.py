"""What the other columns say a column should be: ridge regression on normal scores, for any set of trusted columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RIDGE = 0.02
PREDICTORS = 40
SURE = 4.0
"""Standard errors beyond which a correlation is a tie; among a hundred thousand pairs about six exceed it by chance."""
WORTH = 40.0
"""Sum of squared standard errors that a column's ties must exceed."""


def squares(scores: Floats) -> Floats:
    """Return the scores beside their centred squares, (n, 2d)."""
    return np.hstack([scores, scores**2 - 1.0])


@dataclass(frozen=True)
class Expectations:
    """Second moments (2d + 1, 2d + 1) of (scores, squares, 1) in `rows` reference rows; their correlations (d, d)."""

    gram: Floats
    correlation: Floats
    rows: int

    @classmethod
    def of(cls, scores: Floats) -> Expectations:
        """Learn from the reference's normal scores (n, d)."""
        design = np.hstack([squares(scores), np.ones((len(scores), 1))])
        return cls(design.T @ design / len(design), correlations(scores), len(scores))

    @property
    def tied(self) -> Floats:
        """The correlations (d, d) without the diagonal and without those that chance alone may give.

        Among many columns the greatest of many chance correlations exceeds `SURE`: a column's ties must be worth more.
        """
        sure = np.abs(self.correlation) > SURE / np.sqrt(self.rows)
        kept = np.where(sure & ~np.eye(len(self.correlation), dtype=bool), self.correlation, 0.0)
        strong = (kept**2).sum(axis=1, keepdims=True) > WORTH / self.rows
        return np.where(strong, kept, 0.0)

    def coefficients(self, target: int, trusted: Sequence[int]) -> tuple[NDArray[np.intp], Floats]:
        """Return positions in the design and their coefficients, to predict column `target` from `trusted` ones."""
        width = len(self.correlation)
        able = self.predictors(target, trusted)
        place = np.array([*able, *(c + width for c in able), 2 * width], dtype=np.intp)
        inner = self.gram[np.ix_(place, place)] + RIDGE * np.eye(len(place))
        return place, np.linalg.solve(inner, self.gram[place, target])

    def predictors(self, target: int, trusted: Sequence[int]) -> list[int]:
        """Return the trusted columns most correlated with column `target`."""
        able = [c for c in trusted if c != target]
        return sorted(able, key=lambda c: (-abs(self.correlation[target, c]), c))[:PREDICTORS]

    def hint(self, target: int, trusted: Sequence[int], scores: Floats) -> Floats:
        """Return the prediction (n,) of column `target`, in units of its spread over the reference."""
        place, weight = self.coefficients(target, trusted)
        variance = float(weight @ self.gram[np.ix_(place, place)] @ weight)
        mean = float(weight @ self.gram[place, -1])
        deviation = np.sqrt(max(variance - mean**2, 1e-6))
        predicted = self._design(target, trusted, scores) @ weight
        return np.asarray(np.clip((predicted - mean) / deviation, -4.0, 4.0), np.float64)

    def residual(self, target: int, trusted: Sequence[int], scores: Floats) -> Floats:
        """Return how far column `target` lies from its prediction, (n,), in normal scores."""
        _, weight = self.coefficients(target, trusted)
        return np.asarray(scores[:, target] - self._design(target, trusted, scores) @ weight, np.float64)

    def _design(self, target: int, trusted: Sequence[int], scores: Floats) -> Floats:
        able = self.predictors(target, trusted)
        return np.hstack([squares(scores[:, able]), np.ones((len(scores), 1))])


def correlations(scores: Floats) -> Floats:
    """Return correlations (d, d); columns that do not vary have none."""
    centred = scores - scores.mean(0)
    deviation = np.sqrt((centred**2).mean(0))
    safe = np.where(deviation > 1e-9, deviation, 1.0)
    found = (centred / safe).T @ (centred / safe) / len(scores)
    return np.where((deviation[:, None] > 1e-9) & (deviation[None, :] > 1e-9), found, 0.0)
