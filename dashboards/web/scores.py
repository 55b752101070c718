"""What the scores of a window and of its baseline say, for the window page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlhealth.baseline.record import BaselineView
from mlhealth.dashboards.score_figures import Calibration
from mlhealth.events.batch import LABEL, score_columns
from mlhealth.profile.window_profile import SCORE_BINS, WindowProfile
from mlhealth.schema.model_schema import ModelSchema, Task


def score_counts(profile: WindowProfile) -> NDArray[np.int64]:
    """Return counts of scores over even bins of [0, 1], of all predicted classes together, (SCORE_BINS,)."""
    counts: NDArray[np.int64] = profile.counts[profile.layout.score_slice].reshape(-1, SCORE_BINS).sum(axis=0)
    return counts


def mean_score(counts: NDArray[np.int64]) -> float | None:
    """Return the mean of binned scores, None where there are none."""
    if counts.sum() == 0:
        return None
    middles = (np.arange(len(counts)) + 0.5) / len(counts)
    return float((counts * middles).sum() / counts.sum())


def score_note(schema: ModelSchema) -> str:
    """Return what a score is."""
    if schema.task is Task.BINARY:
        return f"Probability of “{schema.classes[1]}”; the line is the baseline."
    return "Probability of the predicted class; the line is the baseline."


def calibration_of(view: BaselineView) -> Calibration | None:
    """Return how scores compare with labels in the reference rows of a binary model, else None."""
    schema = view.schema
    columns = score_columns(schema)
    if schema.task is not Task.BINARY or not columns or LABEL not in view.rows.column_names:
        return None
    score = np.asarray(view.rows.column(columns[0]).to_numpy(zero_copy_only=False), dtype=np.float64)
    label = np.asarray(view.rows.column(LABEL).to_pylist(), dtype=object)
    return Calibration.of(score, _positive(label, schema))


def _positive(label: NDArray[np.object_], schema: ModelSchema) -> NDArray[np.bool_]:
    """Return which labels are the positive class, whether kept as its text or as its place among the classes."""
    if label.dtype == object and len(label) and isinstance(label[0], str):
        found: NDArray[np.bool_] = label == schema.classes[1]
        return found
    return np.asarray(label == 1, dtype=np.bool_)
