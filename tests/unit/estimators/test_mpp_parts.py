"""The parts of `mpp`, each alone: what was done to a column, weights, distances, outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.ensemble.answers import read_labels
from mlhealth.estimators.ensemble.core import calibrated
from mlhealth.estimators.ensemble.diagnosis import Column, Treated, diagnose
from mlhealth.estimators.ensemble.dictionary import Pair, dictionary
from mlhealth.estimators.ensemble.distance import separation, weighted_auc
from mlhealth.estimators.ensemble.operators import Operator, Source
from mlhealth.estimators.ensemble.outputs import OutputSpace
from mlhealth.estimators.ensemble.screening import ks_distance
from mlhealth.estimators.ensemble.stored import rows_of_data, rows_to_data
from mlhealth.estimators.ensemble.weights import covariate_weights, effective_rows, label_evidence, label_mix
from mlhealth.estimators.ensemble.words import Explanation, explain_faults
from mlhealth.estimators.metrics import realised
from mlhealth.estimators.synthetic import synthetic_rows
from mlhealth.schema.model_schema import Task

Floats = NDArray[np.float64]


def diagnosed(before: Floats, after: Floats, others: dict[str, Floats] | None = None) -> Treated:
    """Diagnose a numeric column without ties to others."""
    ranks = (np.argsort(np.argsort(before)) + 0.5) / len(before)
    source = Source(before, {"x": before, **(others or {})}, ranks)
    nothing = np.zeros(len(before)), np.zeros(len(after))
    column = Column("x", source, nothing[0], np.ones(len(before)), after, nothing[1])
    operators = dictionary(Pair("x", before, after, source.other))
    return diagnose(column, operators, np.random.default_rng(0))


@pytest.fixture
def values(rng: np.random.Generator) -> Floats:
    """A skewed numeric column."""
    return rng.lognormal(3.0, 0.6, 3000)


@pytest.mark.parametrize("factor", [0.01, 2.54, 100.0, -1.0])
@pytest.mark.parametrize("fraction", [0.4, 1.0])
def test_finds_factor_and_fraction(
    values: Floats, rng: np.random.Generator, factor: float, fraction: float
) -> None:
    """A change of unit or sign is found with its factor and the fraction of rows it touched."""
    fresh = rng.lognormal(3.0, 0.6, 1500)
    touched = rng.random(1500) < fraction
    found = diagnosed(values, np.where(touched, fresh * factor, fresh))
    operator, share = found.operators[0]
    assert (operator.kind, operator.number) == ("scale", factor)
    assert share == pytest.approx(fraction, abs=0.06)
    assert found.explained > 0.8


def test_finds_missing_values(values: Floats, rng: np.random.Generator) -> None:
    """Values that went missing are found with their share."""
    fresh = rng.lognormal(3.0, 0.6, 1500)
    found = diagnosed(values, np.where(rng.random(1500) < 0.3, np.nan, fresh))
    assert [(o.kind, round(q, 1)) for o, q in found.operators] == [("missing", 0.3)]


def test_finds_copied_column(values: Floats, rng: np.random.Generator) -> None:
    """Values of another column are recognised as such."""
    other = rng.normal(0.0, 1.0, 3000)
    found = diagnosed(values, rng.normal(0.0, 1.0, 1500), {"y": other})
    assert (found.operators[0][0].kind, found.operators[0][0].column) == ("copy", "y")


def test_finds_nothing_where_nothing_happened(values: Floats, rng: np.random.Generator) -> None:
    """A column that did not change needs no operator."""
    assert diagnosed(values, rng.lognormal(3.0, 0.6, 1500)).operators == ()


def test_swap_is_said_once() -> None:
    """Two columns that hold each other's values are one explanation."""
    swap = [
        Treated(a, ((Operator("copy", column=b), 1.0),), 900.0, 50.0, 60.0)
        for a, b in (("age", "debt"), ("debt", "age"))
    ]
    assert explain_faults(swap) == [
        Explanation("swapped columns", ("age", "debt"), "age and debt are swapped")
    ]


def test_covariate_weights_move_the_mean(rng: np.random.Generator) -> None:
    """Weighted reference rows have the window's mean, and no weight exceeds its bound by much."""
    reference, window = rng.normal(size=(4000, 2)), rng.normal(size=(1000, 2)) + np.array([0.7, 0.0])
    weight = covariate_weights(reference, window)
    assert weight.mean() == pytest.approx(1.0)
    assert np.average(reference[:, 0], weights=weight) == pytest.approx(0.7, abs=0.1)
    assert 0.2 < effective_rows(weight) / 4000 < 0.9


def test_label_mix_recovers_shares(rng: np.random.Generator) -> None:
    """EM finds the class shares of a window from posteriors under the reference's shares, and is sure of them."""
    label = (rng.random(3000) < 0.8).astype(int)
    score = rng.normal(1.5 * label, 1.0)
    odds = np.exp(1.5 * score - 1.125)
    posterior = np.column_stack([1.0 / (1.0 + odds), odds / (1.0 + odds)])
    even = np.array([0.5, 0.5])
    assert label_mix(posterior, even, label).shares[1] == pytest.approx(0.8, abs=0.04)
    assert label_evidence(posterior, even, 5000) > 5.0


def test_separation_is_half_where_nothing_differs(rng: np.random.Generator) -> None:
    """Samples of one distribution cannot be told apart, samples of two can; weights may make up for it."""
    reference, window = rng.normal(size=(3000, 6)), rng.normal(size=(800, 6))
    ones, first = np.ones(3000), np.arange(800) % 2 == 0
    assert separation(reference, (ones, ones), (window, first)) == pytest.approx(0.5, abs=0.05)
    assert separation(reference, (ones, ones), (window + 1.0, first)) > 0.9


def test_weighted_auc_counts_ties_half() -> None:
    """The AUC of equal scores is one half; weights count as repetitions do."""
    assert weighted_auc(np.zeros(4), np.ones(4), np.zeros(3)) == 0.5
    repeated = weighted_auc(np.array([0.0, 2.0, 2.0]), np.ones(3), np.array([1.0]))
    assert weighted_auc(np.array([0.0, 2.0]), np.array([1.0, 2.0]), np.array([1.0])) == repeated


def test_ks_distance_with_ties() -> None:
    """The distance of two samples is that of their distribution functions, ties included."""
    assert ks_distance(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0, 1.0])) == pytest.approx(0.25)


@pytest.mark.parametrize("task", list(Task))
def test_outputs_survive_the_way_there_and_back(task: Task) -> None:
    """What a model answered is the same after it was written as numbers and read back."""
    rows = synthetic_rows(400, seed=3, task=task).rows
    space = OutputSpace.of(rows)
    prediction, scores = space.answers(space.numbers(rows))
    np.testing.assert_allclose(prediction, rows.prediction)
    if rows.scores is not None:
        assert scores is not None
        np.testing.assert_allclose(scores, rows.scores, atol=2e-3)


def test_another_cut_is_learnt() -> None:
    """A binary model that predicts the positive class from 0.3 on keeps doing so in its stand-in."""
    rows = synthetic_rows(600, seed=4).rows
    assert rows.scores is not None
    early = (rows.scores[:, 1] > 0.3).astype(np.int64)
    shifted = type(rows)(rows.schema, rows.features, early, rows.scores, rows.label)
    space = OutputSpace.of(shifted)
    np.testing.assert_array_equal(space.answers(space.numbers(shifted))[0], early)


@pytest.mark.parametrize("task", list(Task))
def test_stored_rows_come_back(task: Task) -> None:
    """Rows written as arrays and parameters come back with every value, type and missing entry."""
    rows = synthetic_rows(120, seed=5, task=task).rows
    rows.features.iloc[::7, 0] = np.nan
    back = rows_of_data(*rows_to_data(rows))
    pd.testing.assert_frame_equal(back.features, rows.features, check_dtype=False)
    np.testing.assert_array_equal(back.prediction, rows.prediction)
    assert back.schema == rows.schema


@pytest.mark.parametrize("ratio", [0.05, 1.0, 20.0])
def test_a_rare_class_widens_what_is_read_off_labels(ratio: float, rng: np.random.Generator) -> None:
    """The deviation said of an AUC under another label mix is the one that windows of that mix show."""
    rows, pool = synthetic_rows(4000, seed=3).rows, synthetic_rows(40_000, seed=9).rows
    assert rows.label is not None
    assert pool.label is not None
    weight = np.where(rows.label == 1, ratio, 1.0)
    read = read_labels(rows, weight / weight.mean(), "roc_auc", 500)
    assert not isinstance(read, str)
    chance = np.where(pool.label == 1, ratio, 1.0)
    drawn = [pool.take(rng.choice(len(pool), 500, p=chance / chance.sum())) for _ in range(60)]
    shown = np.std([realised(window, ("roc_auc",))["roc_auc"].value or 0.0 for window in drawn])
    assert read[1] == pytest.approx(shown, rel=0.35)


def test_calibrated_confidence_meets_the_accuracy_of_the_reference() -> None:
    """However few the rows and however sure the scores, the usual answer for the reference is its own accuracy."""
    rows = synthetic_rows(900, seed=21).rows
    assert rows.scores is not None
    surer = rows.scores**1.5 / (rows.scores**1.5).sum(axis=1, keepdims=True)
    reference = replace(rows, scores=surer)
    accuracy = realised(reference, ("accuracy",))["accuracy"].value or 0.0
    found = calibrated(FitInputs(reference, ("accuracy",))).estimate(replace(reference, label=None))[
        "accuracy"
    ]
    assert found.value == pytest.approx(accuracy, abs=0.01)
    assert surer.max(axis=1).mean() > accuracy + 0.02
