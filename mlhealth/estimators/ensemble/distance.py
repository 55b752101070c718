"""How well an explained reference can be told from the window: a cross-fitted linear discriminant on rich features.

0.5 means that the explanation accounts for everything that can be seen; the features are each column's cells, products
of columns, and what the model answered.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.estimators.ensemble.encoding import Encoding

Floats = NDArray[np.float64]
CUTS = np.array([-1.3, -0.7, -0.25, 0.25, 0.7, 1.3])
JUDGED = 2_500
"""Explained rows from which on only every second (third ...) one is compared with the window."""
PRODUCTS = 18
RIDGE = 2.0


def features(encoding: Encoding, frame: pd.DataFrame, scores: Floats, shown: Sequence[str]) -> Floats:
    """Return the discriminant's features (n, m): `scores` are the normal scores (n, d + p) of columns and outputs.

    `shown`: the d columns, most telling first; the first `PRODUCTS` of them and the outputs enter products.
    """
    cells = [(scores[:, [j]] > CUTS).astype(float) for j in range(scores.shape[1])]
    outside = [_outside(encoding, name, frame[name]) for name in shown]
    top = np.concatenate([np.arange(min(PRODUCTS, len(shown))), np.arange(len(shown), scores.shape[1])])
    chosen = scores[:, top]
    i, j = np.triu_indices(chosen.shape[1])
    return np.hstack([scores, *cells, *outside, chosen[:, i] * chosen[:, j]])


def _outside(encoding: Encoding, name: str, values: pd.Series) -> Floats:
    """Return flags (n, 3): missing, below, above (numeric) or missing, unseen, 0 (categorical)."""
    absent = values.isna().to_numpy()
    if name in encoding.numeric:
        grid = encoding.grids[encoding.numeric.index(name)]
        numbers = values.to_numpy(float)
        if len(grid) == 0:
            return np.column_stack([absent, ~absent, ~absent]).astype(float)
        return np.column_stack([absent, numbers < grid[0], numbers > grid[-1]]).astype(float)
    known = set(encoding.categories[encoding.categorical.index(name)])
    unseen = ~absent & ~values.isin(known).to_numpy()
    return np.column_stack([absent, unseen]).astype(float)


def separation(
    explained: Floats, weights: tuple[Floats, Floats], window: tuple[Floats, NDArray[np.bool_]]
) -> float:
    """Return the cross-fitted AUC between weighted explained reference rows and window rows.

    `window`: its features, and which rows are in its first half. `weights`: of the explained rows, (n,) each, learnt
    from the first and from the second half. Discriminant and weights of one half are judged on the other, so that
    flexible weights are charged for their freedom.
    """
    seen, first = window
    step = max(1, len(explained) // JUDGED)
    explained, weights = explained[::step], (weights[0][::step], weights[1][::step])
    even = np.arange(len(explained)) % 2 == 0
    aucs = []
    for weight, fit_e, fit_w in ((weights[0], even, first), (weights[1], ~even, ~first)):
        if fit_w.sum() < 2 or (~fit_w).sum() < 1:
            continue
        direction = _discriminant(explained[fit_e], weight[fit_e], seen[fit_w])
        aucs.append(weighted_auc(explained[~fit_e] @ direction, weight[~fit_e], seen[~fit_w] @ direction))
    return float(np.mean(aucs)) if aucs else 0.5


def remaining(explained: Floats, weight: Floats, window: Floats, columns: int) -> float:
    """Return the mean over columns of the distance left between explained and window distributions, beyond noise."""
    width = len(CUTS)
    cells = slice(columns, columns + columns * width)
    gap = np.abs(weight @ explained[:, cells] / weight.sum() - window[:, cells].mean(0)).reshape(
        columns, width
    )
    return float(np.maximum(gap.max(axis=1) - 1.5 / np.sqrt(len(window)), 0.0).mean())


def _discriminant(explained: Floats, weight: Floats, window: Floats) -> Floats:
    w = weight / weight.sum()
    mean_e, mean_w = w @ explained, window.mean(0)
    spread = np.sqrt(0.5 * (w @ (explained - mean_e) ** 2 + ((window - mean_w) ** 2).mean(0)) + 1e-6)
    a = ((explained - mean_e) / spread * np.sqrt(w)[:, None]).astype(np.float32)
    b = ((window - mean_w) / spread / np.sqrt(len(window))).astype(np.float32)
    inner = 0.5 * (a.T @ a + b.T @ b).astype(np.float64)
    inner[np.diag_indices_from(inner)] += RIDGE * len(inner) / (len(explained) + len(window))
    return np.asarray(np.linalg.solve(inner, (mean_w - mean_e) / spread) / spread)


def weighted_auc(negative: Floats, weight: Floats, positive: Floats) -> float:
    """Return P(positive > negative), negatives weighted, ties half."""
    order = np.argsort(negative, kind="stable")
    mass = np.concatenate([[0.0], np.cumsum(weight[order])]) / weight.sum()
    ordered = negative[order]
    below, upto = np.searchsorted(ordered, positive, "left"), np.searchsorted(ordered, positive, "right")
    return float((0.5 * (mass[below] + mass[upto])).mean())
