"""Stand-ins for the deployed model where it cannot be asked: distilled from its logged answers.

Two are kept, because they extrapolate differently: ridge regression on standardised columns (which carries a linear
model's answers to any input, however far out) and boosted trees (which answer as tree models do). The window itself
tells which to believe: it holds the deployed model's true answers to broken rows. What the better one still gets
wrong there is learnt from the window and corrected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

from mlhealth.estimators.encode import bearable
from mlhealth.estimators.ensemble.encoding import Encoding
from mlhealth.estimators.ensemble.outputs import SATURATED, OutputSpace
from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
ONE_HOT = 40
"""Categories of a column that the ridge model knows apart."""
LEAST_SEEN = 600
"""Reference rows that a correction learns from, at least; it learns from as many as the window has."""
WORTH_FIXING = 0.02
"""Mean error, in log-odds or standard units, below which a stand-in is not corrected."""
FAR = 1e6
"""Standardised values are kept within this, so that a unit error by a factor of a million stays finite."""


@dataclass(frozen=True)
class Design:
    """How rows are written for either stand-in: `centre` and `spread` of the numeric columns (d,)."""

    encoding: Encoding
    centre: Floats
    spread: Floats

    @classmethod
    def of(cls, encoding: Encoding) -> Design:
        """Learn the scale of the numeric columns."""
        centre = np.array([float(np.median(g)) if len(g) else 0.0 for g in encoding.grids])
        spread = np.array([(float(g.std()) or 1.0) if len(g) else 1.0 for g in encoding.grids])
        return cls(encoding, centre, spread)

    def linear(self, features: pd.DataFrame) -> Floats:
        """Return standardised numbers, missing flags, one-hot categories and 1, (n, m)."""
        raw = np.column_stack(
            [features[c].to_numpy(float) for c in self.encoding.numeric] or [np.zeros((len(features), 0))]
        )
        absent = np.isnan(raw)
        scaled = np.clip(np.where(absent, 0.0, (raw - self.centre) / self.spread), -FAR, FAR)
        parts = [scaled, absent.astype(float), np.ones((len(features), 1))]
        for name, known in zip(self.encoding.categorical, self.encoding.categories, strict=True):
            codes = pd.Index(known[:ONE_HOT], dtype=object).get_indexer(
                pd.Index(features[name], dtype=object)
            )
            hot = np.zeros((len(features), min(len(known), ONE_HOT) + 1))
            hot[np.arange(len(features)), np.where(codes < 0, hot.shape[1] - 1, codes)] = 1.0
            parts.append(hot)
        return np.hstack(parts)

    def trees(self, features: pd.DataFrame) -> Floats:
        """Return raw numbers with NaN for missing, and categories by rank of the model's output, unseen -1, (n, d)."""
        out = np.full((len(features), len(self.encoding.columns)), np.nan)
        for place, name in enumerate(self.encoding.numeric):
            out[:, place] = features[name].to_numpy(float)
        for place, known in enumerate(self.encoding.categories, start=len(self.encoding.numeric)):
            column = features[self.encoding.columns[place]]
            codes = pd.Index(known, dtype=object).get_indexer(pd.Index(column, dtype=object)).astype(float)
            out[:, place] = np.where(column.isna().to_numpy(), np.nan, codes)
        return out


@dataclass(frozen=True)
class Surrogate:
    """The two stand-ins: ridge coefficients (m, p), and boosted trees per output number (p of them)."""

    design: Design
    space: OutputSpace
    coefficients: Floats
    trees: tuple[Any, ...]

    @classmethod
    def fit(
        cls, design: Design, space: OutputSpace, features: pd.DataFrame, numbers: Floats, *, seed: int
    ) -> Surrogate:
        """Distil answers `numbers` (n, p) to `features`."""
        coefficients = _ridge(design.linear(features), numbers, space.classes > 0)
        matrix = design.trees(features)
        trees = tuple(_boost(matrix, numbers[:, j], seed, rounds=100) for j in range(numbers.shape[1]))
        return cls(design, space, coefficients, trees)

    def linear_numbers(self, features: pd.DataFrame) -> Floats:
        """Return the ridge model's answers, (n, p)."""
        found = self.design.linear(features) @ self.coefficients
        return found if self.space.classes == 0 else np.clip(found, -SATURATED, SATURATED)

    def tree_numbers(self, features: pd.DataFrame) -> Floats:
        """Return the trees' answers, (n, p)."""
        matrix = self.design.trees(features)
        return np.column_stack([tree.predict(matrix) for tree in self.trees])

    def near(self, window: Rows, reference: Rows, *, seed: int) -> Corrected:
        """Return the stand-in corrected by what the window and reference rows show of the deployed model."""
        n = len(window)
        some = reference.take(
            np.linspace(0, len(reference) - 1, min(len(reference), max(n, LEAST_SEEN))).astype(np.intp)
        )
        seen = pd.concat([window.features, some.features], ignore_index=True)
        truth = np.vstack([self.space.numbers(window), self.space.numbers(some)])
        linear, trees = self.linear_numbers(seen), self.tree_numbers(seen)
        off = [
            np.abs(guess[:n] - truth[:n]).mean() + np.abs(guess[n:] - truth[n:]).mean()
            for guess in (linear, trees)
        ]
        use_linear = bool(off[0] < off[1])
        left = truth - (linear if use_linear else trees)
        matrix = self.with_guesses(seen, linear, trees)
        fixes = tuple(
            _boost(matrix, left[:, j], seed, rounds=50) if np.abs(left[:, j]).mean() > WORTH_FIXING else None
            for j in range(left.shape[1])
        )
        return Corrected(self, use_linear, fixes)

    def alone(self, rows: Rows) -> Corrected:
        """Return the stand-in that is closer to the answers logged with `rows`, without a correction."""
        truth = self.space.numbers(rows)
        off = [
            np.abs(guess - truth).mean()
            for guess in (self.linear_numbers(rows.features), self.tree_numbers(rows.features))
        ]
        return Corrected(self, bool(off[0] < off[1]), ())

    def with_guesses(self, features: pd.DataFrame, linear: Floats, trees: Floats) -> Floats:
        """Return what corrections are learnt from: the trees' view of the rows, and both stand-ins' answers."""
        bounded = np.clip(linear, -10 * SATURATED, 10 * SATURATED)
        return np.hstack([self.design.trees(features), bounded, trees])

    def arrays(self) -> dict[str, Floats]:
        """Return what is not a model, as arrays."""
        return {"surrogate/coefficients": self.coefficients}

    def models(self) -> dict[str, Any]:
        """Return the models by name."""
        return {f"surrogate/{j:02d}": tree for j, tree in enumerate(self.trees)}

    @classmethod
    def of(
        cls, design: Design, space: OutputSpace, arrays: Mapping[str, Any], models: Mapping[str, Any]
    ) -> Surrogate:
        """Return the stand-ins that `arrays` and `models` hold."""
        trees = tuple(models[name] for name in sorted(models) if name.startswith("surrogate/"))
        return cls(design, space, np.asarray(arrays["surrogate/coefficients"], float), trees)


@dataclass(frozen=True)
class Corrected:
    """A stand-in fitted to one window; called like the deployed model (see `Scorer`)."""

    base: Surrogate
    use_linear: bool
    fixes: tuple[Any, ...]

    def __call__(self, features: pd.DataFrame) -> tuple[NDArray[Any], Floats | None]:
        """Return predictions, and scores where the deployed model logs them."""
        linear, trees = self.base.linear_numbers(features), self.base.tree_numbers(features)
        numbers = linear.copy() if self.use_linear else trees.copy()
        matrix = self.base.with_guesses(features, linear, trees)
        for j, fix in enumerate(self.fixes):
            if fix is not None:
                numbers[:, j] += fix.predict(matrix)
        return self.base.space.answers(numbers)


def _ridge(design: Floats, numbers: Floats, saturates: bool) -> Floats:
    """Return ridge coefficients (m, p), from rows whose answers are not cut off: the others would bend the line."""
    if saturates:
        certain = (np.abs(numbers) >= SATURATED - 1e-6).any(axis=1)
        if (~certain).sum() > 2 * design.shape[1]:
            design, numbers = design[~certain], numbers[~certain]
    inner = design.T @ design
    inner[np.diag_indices_from(inner)] += 1e-5 * len(design)
    return np.asarray(np.linalg.solve(inner, design.T @ numbers), np.float64)


def _boost(matrix: Floats, target: Floats, seed: int, *, rounds: int) -> Any:
    model = HistGradientBoostingRegressor(
        max_iter=rounds, learning_rate=0.1, max_leaf_nodes=16, min_samples_leaf=10, early_stopping=False,
        l2_regularization=1.0, random_state=seed,
    )  # fmt: skip
    return model.fit(bearable(matrix), target)
