"""What `mpp` makes of a broken column in a table that drifted as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlhealth.estimators.ensemble.answers import Usual, simpler
from mlhealth.estimators.ensemble.diagnosis import Treated
from mlhealth.estimators.ensemble.evidence import Drift, Evidence, _is_broken, _is_sure, displaced
from mlhealth.estimators.ensemble.explanations import Candidate
from mlhealth.estimators.ensemble.operators import Operator
from mlhealth.estimators.ensemble.replay import Memory
from mlhealth.estimators.ensemble.screening import Movement
from mlhealth.estimators.rows import Rows
from mlhealth.estimators.synthetic import synthetic_rows

COLUMNS = 4
USUAL = Usual({"accuracy": 0.9}, {"accuracy": 0.9}, {"accuracy": 0.9}, moved=0.75)


def treated(kind: str, number: float = 0.0, *, after: float = 1.0, fraction: float = 1.0) -> Treated:
    """Return a column diagnosed with one operator that leaves `after` of 900 unexplained."""
    return Treated("x", ((Operator(kind, number), fraction),), before=900.0, after=after, chance=1.0)


def drifting(*, far: bool = False, others: float = 50.0) -> Evidence:
    """Return what a window shows in which x left the reference's reach and the others moved by `others`."""
    zero, moved = np.zeros(COLUMNS), np.array([50.0, others, others, others])
    movement = Movement(tuple("xabc"), moved, zero, np.ones(COLUMNS), zero)
    none = np.zeros(COLUMNS, dtype=np.bool_)
    beyond = np.array([far, False, False, False])
    return Evidence(movement, np.array([1.0, 0.0, 0.0, 0.0]), 0.001, beyond, none)


def broken(column: Treated, evidence: Evidence) -> bool:
    """Whether x counts as broken, surely or by what the other columns do."""
    drift = Drift.of(evidence.movement, [])
    return _is_sure(column, 0, evidence) or _is_broken(column, 0, (evidence, drift), trusted=False)


@pytest.mark.parametrize("far", [True, False])
def test_a_column_beyond_all_drift_is_broken_however_the_others_moved(far: bool) -> None:
    """Values outside the reference prove a fault in a drifting table only where no drift goes."""
    assert broken(treated("transport"), drifting(far=far)) is far


def test_a_slight_change_of_scale_in_some_rows_is_no_fault_of_a_drifting_table() -> None:
    """Twice the value in a third of the rows is a fault where the others stand still, and drift where they moved."""
    inside = replace(drifting(), outside=np.zeros(COLUMNS))
    still = replace(drifting(others=0.0), outside=np.zeros(COLUMNS))
    slight = treated("scale", 2.0, after=100.0, fraction=0.33)
    assert broken(slight, still)
    assert not broken(slight, inside)
    assert broken(treated("scale", 100.0), inside)


def test_columns_surely_broken_are_no_drift() -> None:
    """Two columns with sure faults do not make a third one's fault look like drift."""
    movement = drifting().movement
    assert Drift.of(movement, []).beside(0) == 1.0
    assert Drift.of(movement, [1, 2, 3]).beside(0) == 0.0


def candidate(columns: tuple[Treated, ...]) -> Candidate:
    """Return the one explanation believed, which leaves nearly all unexplained."""
    return Candidate(columns, "", synthetic_rows(50).rows, np.ones(50), 0.98, belief=1.0)


def test_a_surely_replayed_window_is_not_left_to_confidence() -> None:
    """Calibrated confidence knows nothing of a fault: it is drawn to only where no fault is sure."""
    rows = candidate(()).rows
    guessed, sure = treated("transport"), replace(treated("transport"), sure=True)
    assert simpler([candidate(())], rows, "accuracy", USUAL) == (0.9, 1.0)
    assert simpler([candidate((guessed,))], rows, "accuracy", USUAL) == (0.9, 1.0)
    assert simpler([candidate((sure,))], rows, "accuracy", USUAL) == (0.9, 0.0)


def tied(count: int, seed: int, *, offset: float = 0.0, above: float = -np.inf) -> Rows:
    """Return rows whose z follows x, come `offset` too large, of which only those with z well `above` x are kept."""
    made = synthetic_rows(count, seed=seed).rows
    own = np.random.default_rng([seed, 1]).normal(size=count)
    z = 0.9 * made.features["x"].to_numpy(float) + 0.4 * own + offset
    return replace(made, features=made.features.assign(z=z)).take(np.flatnonzero(own > above))


@pytest.mark.parametrize(
    ("window", "found"),
    [(tied(600, 1, offset=2.0), True), (tied(600, 1), False), (tied(2000, 1, above=1.0), False)],
)
def test_an_offset_keeps_correlations_but_leaves_the_place_that_tied_columns_give(
    window: Rows, found: bool
) -> None:
    """Beyond where any weights put a column, given the ones that stand still: an offset, not a drift of its own."""
    memory = Memory.of(tied(2000, 0))
    scores = memory.encoding.normal_scores(window.features)
    place = memory.encoding.columns.index("z")
    still = np.array([name == "x" for name in memory.encoding.columns])
    assert displaced(memory, scores, place, still) is found
    assert not displaced(memory, scores, place, np.zeros(len(still), dtype=np.bool_))
