"""From explanations to metrics: read off the known labels, or off the window's own answers recalibrated; then mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.calibration import fit_calibrator
from mlhealth.estimators.class_metrics import ClassOutcomes, evaluate_classes
from mlhealth.estimators.ensemble.explanations import Candidate
from mlhealth.estimators.loss_metrics import LossMoments, evaluate_losses, row_losses
from mlhealth.estimators.metric_names import metric_of
from mlhealth.estimators.reference import labels
from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
FROM_LABELS = 0.5
RANKED = 0.7
COUNTED_FROM_LABELS = {
    "roc_auc": RANKED,
    "average_precision": RANKED,
    "f1": 0.2,
    "precision": 0.2,
    "recall": 0.2,
}
"""Share of the value read off known labels; the rest comes from the window's own answers, recalibrated.

Metrics that depend on how many rows were predicted positive are better read off the window, which shows that number;
rankings better off labels, because recalibration to posteriors flattens them.
"""
LEAST_BELIEF = 0.02


@dataclass(frozen=True)
class Answer:
    """One metric's value, the standard deviation of its sampling error, and how far its sources disagree."""

    value: float
    sampling: float
    disagreement: float


def read_labels(rows: Rows, weight: Floats, metric: str, window_rows: int) -> tuple[float, float] | str:
    """Return the metric of weighted labelled rows with its standard deviation in a window, or why there is none."""
    if rows.schema.is_classification:
        outcomes = ClassOutcomes.of_labels(rows, weight)
        found = evaluate_classes(metric, outcomes)
        influence = (found.gradient * outcomes.posterior).sum(axis=1)
    else:
        losses = row_losses(rows.prediction.astype(float), np.asarray(rows.label, float))
        moments = LossMoments.of(losses, weight)
        found_loss = evaluate_losses(metric, moments)
        if found_loss.value is None:
            return found_loss.note or "not defined"
        influence = (weight / weight.sum()) * (moments.centred(losses) @ found_loss.gradient)
        return found_loss.value, _spread(influence, weight, window_rows)
    if found.value is None:
        return found.note or "not defined"
    return found.value, _spread(influence, weight, window_rows)


def _spread(influence: Floats, weight: Floats, window_rows: int) -> float:
    """Return the deviation from sampling the reference and, as a reference of the window's size would, the window."""
    effective = weight.sum() ** 2 / (weight**2).sum()
    return float(np.sqrt((influence**2).sum() * (1.0 + effective / max(window_rows, 1))))


def recalibrate(candidate: Candidate, window: Rows) -> ClassOutcomes:
    """Return the window's rows with P(class | score) as the explained reference has it."""
    calibrator = fit_calibrator(candidate.rows, labels(candidate.rows), candidate.weight)
    return ClassOutcomes.of(window, calibrator.posterior(window.prediction.astype(np.int64), window.scores))


def mix(
    believed: Sequence[Candidate], window: Rows, metrics: Sequence[str], usual: dict[str, float]
) -> dict[str, Answer | str]:
    """Return each metric's answer, mixed over explanations by belief; `usual`: expected values were nothing moved."""
    kept = [c for c in believed if c.belief >= LEAST_BELIEF]
    recalibrated = [recalibrate(c, window) if window.schema.is_classification else None for c in kept]
    out: dict[str, Answer | str] = {}
    for metric in metrics:
        parts = [
            _of_candidate(c, outcomes, metric, len(window), usual)
            for c, outcomes in zip(kept, recalibrated, strict=True)
        ]
        known = [(c.belief, p) for c, p in zip(kept, parts, strict=True) if not isinstance(p, str)]
        out[metric] = (
            _mixture(known, COUNTED_FROM_LABELS.get(metric, FROM_LABELS), on_log_scale(metric, window))
            if known
            else str(parts[0])
        )
    return out


def _of_candidate(
    candidate: Candidate, outcomes: ClassOutcomes | None, metric: str, rows: int, usual: dict[str, float]
) -> str | tuple[float, float, float]:
    read = read_labels(candidate.rows, candidate.weight, metric, rows)
    if isinstance(read, str):
        return read
    value, deviation = read
    other = evaluate_classes(metric, outcomes).value if outcomes is not None else None
    if not candidate.treated and candidate.weighting != "label":
        expected = usual.get(metric)
        if other is None or candidate.weighting == "":
            other = expected if expected is not None else other
    return value, value if other is None else other, deviation


def _mixture(parts: Sequence[tuple[float, tuple[float, float, float]]], share: float, log: bool) -> Answer:
    belief = np.array([b for b, _ in parts]) / sum(b for b, _ in parts)
    table = np.array([p for _, p in parts])
    labels_, others = (np.log(np.maximum(table[:, i], 1e-12)) if log else table[:, i] for i in (0, 1))
    combined = share * labels_ + (1.0 - share) * others
    value = float(belief @ combined)
    spread = belief @ ((combined - value) ** 2 + 0.25 * (labels_ - others) ** 2)
    sampling = float(np.sqrt(belief @ table[:, 2] ** 2))
    if log:
        centre = float(np.exp(value))
        return Answer(centre, sampling, centre * float(np.sqrt(spread)))
    return Answer(value, sampling, float(np.sqrt(spread)))


def on_log_scale(metric: str, rows: Rows) -> bool:
    """Whether a metric is positive without a greatest value, so that ratios matter."""
    known = metric_of(metric, rows.schema)
    return known.lower == 0.0 and not known.bounded and not metric.startswith(("cost:", "value:"))
