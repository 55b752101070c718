"""From explanations to metrics: read off the known labels, or off the window's own answers recalibrated; then mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mlhealth.estimators.calibration import fit_calibrator
from mlhealth.estimators.class_metrics import ClassOutcomes, evaluate_classes
from mlhealth.estimators.ensemble.explanations import Candidate
from mlhealth.estimators.ensemble.weights import effective_rows
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
UNMOVED_FROM_LABELS = {"roc_auc": 0.1, "average_precision": 0.1, "f1": 0.0, "precision": 0.0, "recall": 0.0}
"""The same for "nothing moved" where something has: these metrics follow the mix of classes, so that the reference's
value says little."""
STILL_FROM_LABELS = {
    "roc_auc": 0.3,
    "average_precision": 0.3,
    "f1": 0.0,
    "precision": 0.0,
    "recall": 0.0,
}
STILL = 0.25
"""The same where nothing has moved: what calibrated scores leave of a row's chance of being right is label noise, which
no other source can tell; the reference's own value adds the rows that it happens to hold."""
WEIGHTED_FROM_LABELS = {"roc_auc": 0.5, "average_precision": 0.5, "f1": 0.0, "precision": 0.0, "recall": 0.0}
WEIGHTED = 0.3
"""The same for rows weighted by their columns."""
WORTH_OF_USUAL = 600.0
"""Weighted reference rows that tell as much of a covariate shift as calibrated confidence does."""
MIX_UNKNOWN = 1.4
"""What the sampling error is multiplied by under label weights: the mix of labels is itself read off the window."""
LEAST_BELIEF = 0.02
UNEXPLAINED, UNEXPLAINED_LOSSES = (0.15, 0.6), (0.2, 0.6)
"""Misfit from which, and at which fully, an answer is drawn to a simpler one: a classifier's, a regressor's."""
CROWD, SOME = 0.4, 0.2
"""Share of moved columns from which a window is taken for one that drifted as a whole, fully and in part."""
DRAWN_CLASSES, DRAWN_LOSSES, DRAWN_REPLAYS = 1.0, 1.0, 0.5
"""How far it is drawn: a classifier's to calibrated confidence, a regressor's to the witnesses and the reference, and a
regressor's replay, of no definite fault or that explains little, to the witnesses."""
WITNESSED = 0.75
"""Share of the witnesses in what a regressor's answer is drawn to, by logarithms; the rest is the reference's own."""


@dataclass(frozen=True)
class Usual:
    """Values were nothing moved, by metric: of the first usual method, the `mean` of all, and the `reference`'s own.

    `moved`: the share of columns that moved; None for a window of which none did. `witness`: what redundant views
    make of a regressor's window, where they were asked.
    """

    first: dict[str, float]
    mean: dict[str, float]
    reference: dict[str, float]
    moved: float | None = None
    witness: dict[str, float] = field(default_factory=dict)


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
    """Return the deviation from sampling the reference, and the window as a draw of its rows by their weights.

    A row of share p and influence p * psi adds p^2 psi^2 for the reference's sampling and p psi^2 / n for that of the
    window's n rows: a class that the window hardly holds counts by its few rows there, not by the reference's many.
    """
    share = np.maximum(weight / weight.sum(), 1e-12)
    return float(np.sqrt((influence**2 * (1.0 + 1.0 / (share * max(window_rows, 1)))).sum()))


def recalibrate(candidate: Candidate, window: Rows) -> ClassOutcomes:
    """Return the window's rows with P(class | score) as the explained reference has it."""
    calibrator = fit_calibrator(candidate.rows, labels(candidate.rows), candidate.weight)
    return ClassOutcomes.of(window, calibrator.posterior(window.prediction.astype(np.int64), window.scores))


def mix(
    believed: Sequence[Candidate], window: Rows, metrics: Sequence[str], usual: Usual
) -> dict[str, Answer | str]:
    """Return each metric's answer: mixed over explanations by belief, drawn to a simpler one if they explain little."""
    kept = [c for c in believed if c.belief >= LEAST_BELIEF]
    recalibrated = [recalibrate(c, window) if window.schema.is_classification else None for c in kept]
    out: dict[str, Answer | str] = {}
    for metric in metrics:
        parts = [
            _of_candidate(c, outcomes, metric, len(window), usual)
            for c, outcomes in zip(kept, recalibrated, strict=True)
        ]
        known = [(c.belief, p) for c, p in zip(kept, parts, strict=True) if not isinstance(p, str)]
        if not known:
            out[metric] = str(parts[0])
            continue
        log = metric_of(metric, window.schema).by_ratio
        out[metric] = drawn(_mixture(known, log), simpler(kept, window, metric, usual), log)
    return out


@dataclass(frozen=True)
class _Reading:
    """One explanation's value off the labels and off the window's answers, with the former's `share`; its sampling."""

    labels: float
    answers: float
    share: float
    sampling: float


def _of_candidate(
    candidate: Candidate, outcomes: ClassOutcomes | None, metric: str, rows: int, usual: Usual
) -> str | _Reading:
    read = read_labels(candidate.rows, candidate.weight, metric, rows)
    if isinstance(read, str):
        return read
    value, deviation = read
    deviation *= MIX_UNKNOWN if candidate.weighting == "label" else 1.0
    other = evaluate_classes(metric, outcomes).value if outcomes is not None else None
    if not candidate.treated and candidate.weighting == "label" and outcomes is None:
        # a regressor's usual method knows no mix of labels: it has no share in the value, but doubts it
        return _Reading(value, usual.mean.get(metric, value), 1.0, deviation)
    if candidate.treated or candidate.weighting == "label":
        share = COUNTED_FROM_LABELS.get(metric, FROM_LABELS)
        return _Reading(value, value if other is None else other, share, deviation)
    if other is None or candidate.weighting == "":
        other = usual.mean.get(metric, other)
    weighted = candidate.weighting == "covariate"
    share = FROM_LABELS if weighted and outcomes is None else _share(candidate, metric, usual)
    reading = _Reading(value, value if other is None else other, share, deviation)
    if weighted and outcomes is not None:
        return _shrunken(reading, candidate.weight, usual.first.get(metric))
    return reading


def _share(candidate: Candidate, metric: str, usual: Usual) -> float:
    """Return the share read off the labels of untreated rows."""
    if candidate.weighting == "covariate":
        return WEIGHTED_FROM_LABELS.get(metric, WEIGHTED)
    if usual.moved is None:
        return STILL_FROM_LABELS.get(metric, STILL)
    return UNMOVED_FROM_LABELS.get(metric, FROM_LABELS)


def _shrunken(reading: _Reading, weight: Floats, usual: float | None) -> _Reading:
    """Return a reading off weighted rows drawn to calibrated confidence, the more so the fewer rows it comes from."""
    if usual is None:
        return reading
    own = effective_rows(weight)
    kept = own / (own + WORTH_OF_USUAL)
    return replace(
        reading,
        labels=kept * reading.labels + (1.0 - kept) * usual,
        answers=kept * reading.answers + (1.0 - kept) * usual,
    )


def _mixture(parts: Sequence[tuple[float, _Reading]], log: bool) -> Answer:
    belief = np.array([b for b, _ in parts]) / sum(b for b, _ in parts)
    table = np.array([(p.labels, p.answers, p.share, p.sampling) for _, p in parts])
    labels_, others = (np.log(np.maximum(table[:, i], 1e-12)) if log else table[:, i] for i in (0, 1))
    combined = table[:, 2] * labels_ + (1.0 - table[:, 2]) * others
    value = float(belief @ combined)
    spread = float(np.sqrt(belief @ ((combined - value) ** 2 + 0.25 * (labels_ - others) ** 2)))
    sampling = float(np.sqrt(belief @ table[:, 3] ** 2))
    if log:
        centre = float(np.exp(value))
        return Answer(centre, sampling, centre * spread)
    return Answer(value, sampling, spread)


def simpler(kept: Sequence[Candidate], window: Rows, metric: str, usual: Usual) -> tuple[float | None, float]:
    """Return the simpler answer, and how far an answer is to be drawn to it, 0 to 1.

    A classifier's window that drifted in most columns is left to calibrated confidence as far as nothing explains it,
    but not where faults were found for sure, which that knows nothing of. A regressor's is left to the witnesses and
    the reference, as far as nothing explains it. Its replay of values drawn from the window itself, no fault by name,
    may have broken ties that only drifted: where most columns moved, the witnesses count as much, as they do where a
    replay explains little.
    """
    misfit, moved = sum(c.belief * c.misfit for c in kept), usual.moved or 0.0
    if window.schema.is_classification:
        drifted = _risen(misfit, UNEXPLAINED) * _risen(moved, (SOME, CROWD))
        faults = sum(c.belief for c in kept if any(t.sure for t in c.treated))
        return usual.first.get(metric), DRAWN_CLASSES * drifted * max(1.0 - faults, 0.0)
    unexplained = _risen(misfit, UNEXPLAINED_LOSSES)
    if sum(c.belief for c in kept if c.treated) < 0.5:
        return _off_support(metric, usual), DRAWN_LOSSES * unexplained
    guessed = moved > CROWD and sum(c.belief for c in kept if not c.named) > 0.5
    return usual.witness.get(metric, usual.first.get(metric)), DRAWN_REPLAYS * max(guessed, unexplained)


def _off_support(metric: str, usual: Usual) -> float | None:
    """Return what to make of a regressor's metric where nothing explains the window: between witnesses and reference.

    Labelled rows that look like the window, and models of their losses, have no say: off the reference's support a
    loss has no bound, and weights pick the few rows there are.
    """
    reference, witness = usual.reference.get(metric), usual.witness.get(metric)
    if reference is None or witness is None or min(reference, witness) <= 0.0:
        return reference
    return float(reference ** (1.0 - WITNESSED) * witness**WITNESSED)


def _risen(value: float, between: tuple[float, float]) -> float:
    """Return how far a value has risen from the one bound to the other, 0 to 1."""
    low, high = between
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))


def drawn(answer: Answer, target: tuple[float | None, float], log: bool) -> Answer:
    """Return the answer drawn to the target's value by its share; the distance between them is disagreement too."""
    value, share = target
    if value is None or share == 0.0 or (log and min(value, answer.value) <= 0.0):
        return answer
    if log:
        apart = float(np.log(value / answer.value))
        centre = answer.value * float(np.exp(share * apart))
        spread = float(np.hypot(answer.disagreement / answer.value, share * apart))
        return Answer(centre, answer.sampling, centre * spread)
    apart = value - answer.value
    return Answer(
        answer.value + share * apart, answer.sampling, float(np.hypot(answer.disagreement, share * apart))
    )
