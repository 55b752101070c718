"""Density ratios between window and reference from a domain classifier, shrunken to what held-out rows support."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier

from mlhealth.estimators.encode import bearable, canonical_order
from mlhealth.records import EstimateStatus

Floats = NDArray[np.float64]
FOLDS = 3
CLIP = 0.99
"""Quantile of the weights at which they are cut off."""
OUT_OF_SUPPORT = 0.01
"""Effective share of reference rows below which the reference cannot speak for the window."""
THIN_SUPPORT = 0.05


@dataclass(frozen=True)
class DomainWeights:
    """Weight of each reference row, (n_r,), mean 1; `auc` of telling window from reference on held-out rows.

    `shifted` is whether they can be told apart at the 5 % level; the weights are all 1 where they cannot.
    """

    weight: Floats
    auc: float
    shifted: bool

    @property
    def effective(self) -> float:
        """Effective number of reference rows, (sum w)^2 / sum w^2."""
        return float(self.weight.sum() ** 2 / (self.weight @ self.weight))

    @property
    def verdict(self) -> tuple[EstimateStatus, str | None]:
        """How far weighted reference rows can speak for the window, and why not further."""
        share = self.effective / len(self.weight)
        if share >= THIN_SUPPORT:
            return EstimateStatus.OK, None
        status = EstimateStatus.OUT_OF_SUPPORT if share < OUT_OF_SUPPORT else EstimateStatus.WIDENED
        return status, f"only {self.effective:.0f} effective reference rows resemble the window"


def domain_weights(reference: Floats, window: Floats, seed: int = 0) -> DomainWeights:
    """Return importance weights p_window / p_reference of reference rows from encoded rows (n_r, d) and (n, d).

    A boosted classifier is cross-fitted over both; its log-odds are scaled by the slope in [0, 1] of a
    logistic regression on held-out rows, so that weights are no more extreme than held-out rows bear out.
    The order of the window's rows does not matter.
    """
    ones = np.ones(len(reference))
    if len(window) < 2 * FOLDS:
        return DomainWeights(ones, 0.5, shifted=False)
    both = np.vstack([reference, window[canonical_order(window)]])
    where = np.repeat([0.0, 1.0], [len(reference), len(window)])
    odds = _held_out_odds(both, where, seed)
    auc = float((rankdata(odds)[where == 1].mean() - (len(window) + 1) / 2) / len(reference))
    noise = np.sqrt((1 / len(reference) + 1 / len(window)) / 12.0)
    if auc < 0.5 + 1.645 * noise:
        return DomainWeights(ones, auc, shifted=False)
    slope = float(np.clip(_logistic_slope(odds, where), 0.0, 1.0))
    raw = np.exp(slope * (odds[where == 0] - odds[where == 0].max()))
    weight = np.minimum(raw, np.quantile(raw, CLIP))
    return DomainWeights(weight / weight.mean(), auc, shifted=True)


def _held_out_odds(both: Floats, where: Floats, seed: int) -> Floats:
    fold = np.empty(len(where), dtype=np.intp)
    rng = np.random.default_rng(seed)
    for side in (0.0, 1.0):
        fold[where == side] = rng.permutation(int((where == side).sum())) % FOLDS
    odds = np.empty(len(where))
    for f in range(FOLDS):
        model = HistGradientBoostingClassifier(
            max_iter=40, learning_rate=0.1, max_leaf_nodes=6, min_samples_leaf=30, l2_regularization=5.0,
            early_stopping=False, random_state=seed,
        ).fit(bearable(both[fold != f]), where[fold != f])  # fmt: skip
        odds[fold == f] = model.decision_function(both[fold == f])
    return odds


def _logistic_slope(odds: Floats, where: Floats) -> float:
    """Return the slope of a logistic regression of `where` on `odds`, by Newton steps with a little ridge."""
    design = np.column_stack([np.ones_like(odds), odds])
    beta = np.array([0.0, 1.0])
    for _ in range(15):
        p = expit(design @ beta)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-3 * np.eye(2)
        beta = beta + np.linalg.solve(hessian, design.T @ (where - p) - 1e-3 * (beta - [0.0, 1.0]))
    return float(beta[1]) if np.isfinite(beta[1]) else 0.0
