"""Calibration of scores into P(class | row): isotonic maps per class, kept as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEAST_GROUP = 50
"""Rows of a predicted class below which its own calibration would be noise."""
MISMATCH = 0.005
"""Share of predictions that no cut of the scores explains, above which each predicted class is calibrated alone."""

SURELY = 2.0
"""Standard errors by which mean confidence must miss the accuracy before scores are no probabilities."""


@dataclass(frozen=True)
class Isotonic:
    """A non-decreasing, piecewise linear map through the points (x, y)."""

    x: Floats
    y: Floats

    def __call__(self, score: Floats) -> Floats:
        """Return the mapped scores, (n,)."""
        return np.asarray(np.interp(score, self.x, self.y), np.float64)


def fit_isotonic(score: Floats, target: Floats, weight: Floats | None = None) -> Isotonic:
    """Return the non-decreasing map that best fits `target` to `score` (weighted least squares)."""
    model = IsotonicRegression(out_of_bounds="clip").fit(score, target, sample_weight=weight)
    return Isotonic(np.asarray(model.X_thresholds_, np.float64), np.asarray(model.y_thresholds_, np.float64))


def fit_probability(score: Floats, event: Floats, weight: Floats | None = None) -> Isotonic:
    """Return the isotonic map to P(event), kept off 0 and 1 by what the number of rows can tell apart."""
    fitted = fit_isotonic(score, event, weight)
    edge = 1.0 / (len(score) + 2.0)
    return Isotonic(fitted.x, np.clip(fitted.y, edge, 1.0 - edge))


@dataclass(frozen=True)
class ClassCalibrator:
    """P(class | scores, predicted class).

    `frequencies`: (k, k) P(class | predicted class), used where there are no scores or too few rows.
    `maps`: by (group, class); the group is the predicted class, or -1 for all rows. `raw`: the scores are
    good as they are.
    """

    frequencies: Floats
    maps: Mapping[tuple[int, int], Isotonic]
    raw: bool = False

    def posterior(self, prediction: Ints, scores: Floats | None) -> Floats:
        """Return P(class | row), (n, k), rows summing to 1."""
        if scores is None or not (self.maps or self.raw):
            return np.asarray(self.frequencies[prediction], np.float64)
        if self.raw:
            return scores
        out = self.frequencies[prediction]
        for group in sorted({g for g, _ in self.maps}):
            rows = np.arange(len(prediction)) if group < 0 else np.flatnonzero(prediction == group)
            out[rows] = self._mapped(group, scores[rows])
        return out

    def _mapped(self, group: int, scores: Floats) -> Floats:
        if scores.shape[1] == 2:
            positive = self.maps[group, 1](scores[:, 1])
            return np.column_stack([1.0 - positive, positive])
        columns = np.column_stack([self.maps[group, c](scores[:, c]) for c in range(scores.shape[1])])
        return np.asarray(columns / columns.sum(axis=1, keepdims=True), np.float64)

    def arrays(self, prefix: str = "calibrator") -> dict[str, NDArray[np.generic]]:
        """Return this as arrays by name."""
        out: dict[str, NDArray[np.generic]] = {
            f"{prefix}/frequencies": self.frequencies,
            f"{prefix}/raw": np.array([self.raw]),
        }
        for (group, c), fitted in self.maps.items():
            out[f"{prefix}/{group}/{c}"] = np.stack([fitted.x, fitted.y])
        return out

    @classmethod
    def of_arrays(
        cls, arrays: Mapping[str, NDArray[np.generic]], prefix: str = "calibrator"
    ) -> ClassCalibrator:
        """Return the calibrator that `arrays` was taken from."""
        maps = {}
        for name, points in arrays.items():
            parts = name.removeprefix(f"{prefix}/").split("/")
            if name.startswith(f"{prefix}/") and len(parts) == 2:
                x, y = np.asarray(points, np.float64)
                maps[int(parts[0]), int(parts[1])] = Isotonic(x, y)
        frequencies = np.asarray(arrays[f"{prefix}/frequencies"], np.float64)
        return cls(frequencies, maps, bool(arrays[f"{prefix}/raw"][0]))


def fit_calibrator(rows: Rows, label: Ints, weight: Floats | None = None) -> ClassCalibrator:
    """Return the isotonic calibrator of labelled rows, optionally weighted."""
    k = len(rows.schema.classes)
    prediction = rows.prediction.astype(np.int64)
    w = np.ones(len(label)) if weight is None else weight
    counts = np.zeros((k, k))
    np.add.at(counts, (prediction, label), w)
    prior = np.bincount(label, w, k) / w.sum()
    frequencies = (counts + prior) / (counts.sum(axis=1, keepdims=True) + 1.0)
    if rows.scores is None:
        return ClassCalibrator(frequencies, {})
    groups = range(k) if mismatch(rows.scores, prediction) > MISMATCH else (-1,)
    maps = {}
    for group in groups:
        mask = np.ones(len(label), bool) if group < 0 else prediction == group
        if mask.sum() < LEAST_GROUP:
            continue
        for c in (1,) if k == 2 else range(k):
            event = (label[mask] == c).astype(np.float64)
            maps[group, c] = fit_probability(rows.scores[mask, c], event, w[mask])
    return ClassCalibrator(frequencies, maps)


def mismatch(scores: Floats, prediction: Ints) -> float:
    """Return the share of predictions that no cut of the scores (binary) or the greatest score explains."""
    if scores.shape[1] != 2:
        top = scores.max(axis=1)
        return float(np.mean(scores[np.arange(len(prediction)), prediction] < top - 1e-9))
    order = np.argsort(scores[:, 1], kind="stable")
    positive = prediction[order] == 1
    wrong_below = np.concatenate([[0], np.cumsum(positive)])
    wrong_above = np.concatenate([[0], np.cumsum(~positive[::-1])])[::-1]
    return float((wrong_below + wrong_above).min() / max(len(prediction), 1))


def log_loss(posterior: Floats, label: Ints) -> float:
    """Return the mean negative log probability of the labels."""
    return float(-np.mean(np.log(np.maximum(posterior[np.arange(len(label)), label], 1e-6))))


def biased(scores: Floats, prediction: Ints, label: Ints) -> bool:
    """Whether the mean probability of the answers given lies beyond chance from the share of right ones."""
    sure = scores[np.arange(len(label)), prediction]
    error = float(np.sqrt(np.mean(sure * (1.0 - sure)) / len(label)))
    return abs(float(sure.mean()) - float(np.mean(prediction == label))) > SURELY * error


def choose_calibrator(rows: Rows, label: Ints, rng: np.random.Generator, folds: int = 5) -> ClassCalibrator:
    """Return the isotonic calibrator, or the scores as they are where those do better on held-out rows.

    Scores that are surer, or less sure, on the whole than their answers are right are never taken as they are: on few
    rows an isotonic map may cost more in log loss than such a bias does.
    """
    fitted = fit_calibrator(rows, label)
    if rows.scores is None:
        return fitted
    fold = rng.permutation(len(label)) % folds
    held_out = np.empty_like(rows.scores)
    for f in range(folds):
        inside, outside = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        one = fit_calibrator(rows.take(inside), label[inside])
        held_out[outside] = one.posterior(rows.prediction[outside].astype(np.int64), rows.scores[outside])
    grouped = any(group >= 0 for group, _ in fitted.maps)
    kept = not grouped and not biased(rows.scores, rows.prediction.astype(np.int64), label)
    if kept and log_loss(rows.scores, label) < log_loss(held_out, label):
        return ClassCalibrator(fitted.frequencies, {}, raw=True)
    return fitted
