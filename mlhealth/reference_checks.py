"""What in reference rows, or in a scorer's answers about them, should make a person look twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlhealth.errors import ConfigError
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.schema.model_schema import Task

CHECK_ROWS = 200
MIN_AGREEMENT = 0.9
"""Below this share of reproduced predictions the scorer is taken for another model."""
NOTED_AGREEMENT = 0.995
DISAGREEMENT = 0.02
"""Share of rows whose score may contradict the prediction before it is worth a note."""


def reference_notes(rows: Rows) -> list[str]:
    """Return one sentence for each thing about labelled rows that is probably a mistake."""
    found = [_score_note(rows), _accuracy_note(rows), *_feature_notes(rows)]
    return [note for note in found if note is not None]


def _score_note(rows: Rows) -> str | None:
    if rows.scores is None:
        return None
    if rows.schema.task is Task.BINARY:
        wrong = binary_disagreement(rows)
        if wrong > 0.5:
            return (
                f"{wrong:.0%} of the predictions contradict the score: is {rows.schema.scores[0]!r} "
                f"the probability of class {rows.schema.classes[1]!r} (columns.positive_class)?"
            )
    else:
        wrong = float(np.mean(rows.scores.argmax(axis=1) != rows.prediction))
    if wrong > DISAGREEMENT:
        return f"{wrong:.0%} of the predictions do not follow from the scores: are the score columns the right ones?"
    return None


def binary_disagreement(rows: Rows) -> float:
    """Return the least share of rows (0 to 1) that contradict `prediction = score >= threshold`, over thresholds."""
    assert rows.scores is not None
    order = np.argsort(-rows.scores[:, 1], kind="stable")
    positive = rows.prediction[order] == 1
    above = np.concatenate([[0], np.cumsum(~positive)])
    below = positive.sum() - np.concatenate([[0], np.cumsum(positive)])
    edge = np.concatenate([[True], np.diff(rows.scores[order, 1]) != 0, [True]])
    return float((above + below)[edge].min() / len(rows))


def _accuracy_note(rows: Rows) -> str | None:
    if rows.label is None or not rows.schema.is_classification:
        return None
    accuracy = float(np.mean(rows.prediction == rows.label))
    if accuracy == 1.0:
        return "every reference prediction is right: are these rows the model was trained on?"
    majority = float(np.bincount(rows.label.astype(np.int64)).max() / len(rows))
    if accuracy < majority - 0.02:
        return f"accuracy is {accuracy:.3f}, below {majority:.3f} of always answering the most frequent class"
    return None


def _feature_notes(rows: Rows) -> list[str]:
    constant = [str(name) for name in rows.features if rows.features[name].nunique(dropna=True) <= 1]
    if not constant:
        return []
    return [f"features with a single value: {', '.join(constant[:8])}{', …' if len(constant) > 8 else ''}"]


def check_scorer(scorer: Scorer, rows: Rows, *, seed: int = 0) -> list[str]:
    """Return notes on how well the scorer reproduces logged predictions; raises ConfigError where it does not."""
    picked = rows.take(np.random.default_rng(seed).permutation(len(rows))[:CHECK_ROWS])
    prediction, scores = scorer(picked.features)
    same = float(np.mean(_agrees(prediction, picked)))
    if same < MIN_AGREEMENT:
        raise ConfigError(
            f"the scorer reproduces only {same:.0%} of {len(picked)} logged predictions: is it the same model "
            "and version, and does it get the features in the right types?"
        )
    notes = []
    if same < NOTED_AGREEMENT:
        notes.append(f"the scorer reproduces {same:.1%} of {len(picked)} logged predictions")
    if scores is not None and picked.scores is not None:
        far = float(np.mean(np.abs(scores - picked.scores).max(axis=1) > 0.01))
        if far > 1 - NOTED_AGREEMENT:
            notes.append(f"the scorer's scores differ from {far:.1%} of the logged ones by more than 0.01")
    return notes


def _agrees(prediction: NDArray[np.float64], rows: Rows) -> NDArray[np.bool_]:
    if rows.schema.is_classification:
        return np.asarray(prediction.astype(np.int64) == rows.prediction)
    spread = float(np.std(rows.prediction)) or 1.0
    return np.asarray(np.abs(prediction - rows.prediction) <= 0.01 * spread)
