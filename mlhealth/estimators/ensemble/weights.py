"""Weights under which reference rows look like the window: by what the columns say, or by label alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]
STRENGTH = 0.05
"""Inverse of the ridge penalty of the domain classifier."""
FITTED = 2_500
"""Reference rows from which on only every second (third ...) one is used to fit the classifier."""
HEAVIEST = 20.0
"""No reference row may stand for more than this many rows."""


@dataclass(frozen=True)
class LabelMix:
    """Class shares of a window (k,), and weights (n,) of labelled reference rows that give them."""

    shares: Floats
    weight: Floats


def covariate_weights(reference: Floats, window: Floats) -> Floats:
    """Return weights (n,), mean 1, from a logistic domain classifier between two views of the columns.

    The density ratio is log-linear in the views' columns, as in Mandoline (Chen et al., 2021).
    """
    if len(window) == 0:
        return np.ones(len(reference))
    some = reference[:: max(1, len(reference) // FITTED)]
    design = np.vstack([some, window])
    target = np.repeat([0, 1], [len(some), len(window)])
    balance = np.repeat([len(window) / len(some), 1.0], [len(some), len(window)])
    if not design.std(0).any():
        return np.ones(len(reference))
    model = LogisticRegression(C=STRENGTH, solver="newton-cholesky", tol=1e-3).fit(
        design, target, sample_weight=balance
    )
    return settle(np.exp(np.clip(model.decision_function(reference), -8.0, 8.0)))


def settle(weight: Floats) -> Floats:
    """Return weights cut off at `HEAVIEST` times their mean, with mean 1."""
    total = weight / max(float(weight.mean()), 1e-300)
    cut = np.minimum(total, HEAVIEST)
    return np.asarray(cut / cut.mean(), np.float64)


def effective_rows(weight: Floats) -> float:
    """Return Kish's effective number of rows."""
    return float(weight.sum() ** 2 / (weight**2).sum())


def label_evidence(posterior: Floats, shares: Floats, reference_rows: int) -> float:
    """Return how surely the class shares have moved: a likelihood ratio, 1 where chance would give it 1 time in 100.

    Twice the gain in log-likelihood of the EM shares over the reference's, over what chi-square with k - 1 degrees of
    freedom exceeds by chance, allowing for the sampling of the reference as well.
    """
    mix = label_mix(posterior, shares, np.zeros(1, dtype=np.int64)).shares
    ratio = (posterior * (mix / np.maximum(shares, 1e-9))).sum(1)
    gain = 2.0 * float(np.log(np.maximum(ratio, 1e-12)).sum()) / (1.0 + len(posterior) / reference_rows)
    return gain / float(chi2.ppf(0.99, max(len(shares) - 1, 1)))


def label_mix(posterior: Floats, shares: Floats, label: NDArray[np.int64], rounds: int = 200) -> LabelMix:
    """Return the window's class shares by EM (Saerens, Latinne and Decaestecker, 2002).

    `posterior`: (n, k) calibrated P(class | row) of window rows under the reference's class shares `shares` (k,).
    """
    mix = shares.copy()
    for _ in range(rounds):
        ratio = mix / np.maximum(shares, 1e-9)
        counted = ratio * (posterior.T @ (1.0 / np.maximum(posterior @ ratio, 1e-300)))
        new = (counted + 0.5) / (len(posterior) + 0.5 * len(mix))
        done = float(np.abs(new - mix).max()) < 1e-5
        mix = new
        if done:
            break
    return LabelMix(mix, settle((mix / np.maximum(shares, 1e-9))[label]))
