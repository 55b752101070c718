"""What `mpp` makes of a regressor's losses: mixes of true values, and windows that drifted as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.ensemble.answers import CROWD, Answer, Usual, mix, simpler
from mlhealth.estimators.ensemble.core import Core
from mlhealth.estimators.ensemble.diagnosis import Treated
from mlhealth.estimators.ensemble.explanations import Candidate
from mlhealth.estimators.ensemble.labels import LEAST, LabelGroups
from mlhealth.estimators.ensemble.operators import Operator
from mlhealth.estimators.ensemble.weights import label_mix
from mlhealth.estimators.ensemble.witness import fit_witness, witnessed
from mlhealth.estimators.rows import Rows
from mlhealth.estimators.synthetic import synthetic_rows
from mlhealth.schema.model_schema import Task


def made(count: int, seed: int) -> Rows:
    """Return labelled rows of the synthetic regressor."""
    return synthetic_rows(count, seed=seed, task=Task.REGRESSION).rows


def error(rows: Rows, weight: NDArray[np.float64] | None = None) -> float:
    """Return the (weighted) mean absolute error of labelled rows."""
    assert rows.label is not None
    return float(np.average(np.abs(rows.label - rows.prediction), weights=weight))


@pytest.mark.parametrize("count", [500, 4000])
def test_bands_of_the_true_value_are_never_of_few_rows(count: int) -> None:
    """A small reference has fewer bands, because the share of a band of few rows would be noise."""
    groups = LabelGroups.of(made(count, 0))
    assert np.bincount(groups.group).min() >= LEAST - 1
    assert len(groups.shares) == (12 if count == 500 else 14)


def test_a_mix_of_extreme_values_is_read_off_the_predictions() -> None:
    """Where the greatest true values became frequent, reference rows weighted by their band give the window's loss."""
    reference, more = made(4000, 0), made(30_000, 1)
    assert more.label is not None
    extreme = np.flatnonzero(more.label > np.quantile(more.label, 0.95))[:1500]
    window = more.take(extreme)
    groups = LabelGroups.of(reference)
    weight = label_mix(groups.posterior(reference, window), groups.shares, groups.group).weight
    assert error(reference) < 0.9 * error(window)
    assert error(reference, weight) == pytest.approx(error(window), rel=0.1)


USUAL = Usual({"mae": 5.0}, {"mae": 5.0}, {"mae": 1.0}, moved=CROWD + 0.1, witness={"mae": 16.0})


def test_a_moved_mix_of_true_values_is_the_surer_the_less_the_usual_method_differs() -> None:
    """The usual method has no share in the answer under label weights, but the interval knows how far off it is."""
    rows = made(500, 0)
    mixed = Candidate((), "label", rows, np.ones(len(rows)), 0.5, belief=1.0)
    agreeing, doubting = (
        mix([mixed], rows, ["mae"], replace(USUAL, mean={"mae": error(rows) * factor}))["mae"]
        for factor in (1.0, 2.0)
    )
    assert isinstance(agreeing, Answer)
    assert isinstance(doubting, Answer)
    assert agreeing.value == doubting.value == pytest.approx(error(rows))
    assert agreeing.disagreement < 0.01 < doubting.disagreement


def believed(rows: Rows, separation: float, *operators: Operator) -> list[Candidate]:
    """Return the one explanation believed: what it leaves unexplained, and what was done to a column."""
    treated = tuple(Treated("x", ((o, 1.0),), before=900.0, after=1.0, chance=1.0) for o in operators)
    return [Candidate(treated, "", rows, np.ones(len(rows)), separation, belief=1.0)]


def test_a_window_that_nothing_explains_is_left_to_witnesses_and_reference() -> None:
    """Between what the views say and the reference's own; the reference alone for metrics that views do not tell."""
    rows = made(50, 0)
    lost = believed(rows, 0.99)
    value, share = simpler(lost, rows, "mae", USUAL)
    assert value == pytest.approx(8.0)
    assert share == 1.0
    assert simpler(lost, rows, "mae", replace(USUAL, witness={})) == (1.0, 1.0)
    assert simpler(believed(rows, 0.55), rows, "mae", USUAL)[1] == 0.0


def test_a_replay_of_no_definite_fault_is_held_against_the_witnesses() -> None:
    """In a window that drifted as a whole, or if it explains little; a fault that has a name needs none."""
    rows = made(50, 0)
    guessed, named = Operator("transport"), Operator("scale", 100.0)
    assert simpler(believed(rows, 0.55, guessed), rows, "mae", USUAL) == (16.0, 0.5)
    assert simpler(believed(rows, 0.55, named), rows, "mae", USUAL)[1] == 0.0
    assert simpler(believed(rows, 0.55, guessed), rows, "mae", replace(USUAL, moved=0.1))[1] == 0.0
    assert simpler(believed(rows, 0.99, named), rows, "mae", replace(USUAL, moved=0.1)) == (16.0, 0.5)


def test_witnesses_see_a_regressor_that_departs_from_them() -> None:
    """Redundant views say a greater loss where the model leans on a broken column; classifiers have none."""
    reference, window = made(1500, 0), made(800, 1)
    inputs = FitInputs(reference, ("mae", "r2"))
    core = Core.fit(inputs)
    assert core.witness is not None
    broken = replace(window, prediction=window.prediction + np.where(np.arange(800) % 2, 6.0, -6.0))
    calm, loud = (witnessed(core.witness, replace(w, label=None)) for w in (window, broken))
    assert set(calm) == {"mae"}
    assert loud["mae"] > 1.5 * calm["mae"]
    binary = synthetic_rows(600).rows
    assert fit_witness(FitInputs(binary, ("accuracy",)), core.surrogate) is None
    assert witnessed(None, window) == {}
