"""Few labels see what no estimate can, and say when they are not to be trusted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlhealth.errors import DataError
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.cbpe import CBPE
from mlhealth.estimators.few_labels import (
    LabelSample,
    few_label_estimates,
    label_maturity,
    labels_needed,
    row_expectations,
    suggest_labels,
)
from mlhealth.estimators.intervals import Answering
from mlhealth.estimators.metrics import realised
from mlhealth.estimators.rows import Rows
from mlhealth.estimators.synthetic import synthetic_rows

METRICS = ("accuracy", "f1", "roc_auc")


def drifted(seed: int) -> Rows:
    """Return a window in half of which labels no longer follow from the features."""
    rows = synthetic_rows(1500, seed=seed).rows
    assert rows.label is not None
    label = rows.label.copy()
    moved = rows.features["z"].to_numpy() > 0.0
    label[moved] = np.random.default_rng(seed).permutation(label[moved])
    return replace(rows, label=label)


def test_concept_drift_is_seen_and_covered(rng: np.random.Generator) -> None:
    """Under concept drift CBPE is far off, and 150 sampled labels give intervals that hold at the nominal rate."""
    method = CBPE.fit(FitInputs(synthetic_rows(2000, seed=1).rows, METRICS))
    blind, inside = [], []
    for seed in range(60):
        window = drifted(100 + seed)
        expected = row_expectations(method, window)
        sample = suggest_labels(window, expected, 150, rng)
        by = Answering("few_labels", method.reference, window.schema, 0.9)
        found, truth = few_label_estimates(by, window, expected, sample), realised(window, METRICS)
        actual, estimate = truth["accuracy"].value, method.estimate(window)["accuracy"].value
        assert actual is not None
        assert estimate is not None
        blind.append(estimate - actual)
        inside.append([f.lower <= truth[n].value <= f.upper for n, f in found.items()])  # type: ignore[operator]
    assert np.mean(blind) > 0.08
    assert np.mean(inside) > 0.8


def test_inclusion_probabilities_are_those_of_the_draw(rng: np.random.Generator) -> None:
    """Over many draws each row is chosen as often as its recorded probability says."""
    made = synthetic_rows(60, seed=4)
    times, probability = np.zeros(60), np.zeros(60)
    for _ in range(2000):
        chosen = suggest_labels(made.rows, made.truth, 15, rng)
        times[chosen.positions] += 1
        probability[chosen.positions] = chosen.probabilities
    assert times / 2000 == pytest.approx(probability, abs=0.05)


def test_a_narrower_interval_takes_more_labels() -> None:
    """Halving the width asks for more labels, and never for more than there are rows."""
    made = synthetic_rows(1000, seed=5)
    counts = [labels_needed(made.rows, made.truth, "accuracy", h) for h in (0.08, 0.04, 0.001)]
    assert counts[0] < counts[1] < counts[2] <= 1000


def test_too_few_labels_are_refused() -> None:
    """Five labels are refused with the number that is needed."""
    made = synthetic_rows(300, seed=6)
    method = CBPE.fit(FitInputs(synthetic_rows(600).rows, METRICS))
    by = Answering("few_labels", method.reference, made.rows.schema, 0.9)
    with pytest.raises(DataError, match="20 are needed"):
        few_label_estimates(by, made.rows, made.truth, LabelSample(np.arange(5), np.full(5, 0.1)))


def test_selective_labels_are_flagged() -> None:
    """Labels that come for sure rows only are flagged, those of random rows are not."""
    rows = synthetic_rows(1000, seed=7).rows
    assert rows.label is not None
    assert rows.scores is not None
    sure = np.where(rows.scores[:, 1] > 0.7, rows.label, -1)
    evenly = np.where(np.arange(1000) % 3 == 0, rows.label, -1)
    assert label_maturity(replace(rows, label=sure)).selective
    assert not label_maturity(replace(rows, label=evenly)).selective
