"""What one window may ask the deployed model, in rows and in seconds."""

from __future__ import annotations

import threading

import numpy as np
import pandas as pd
import pytest

from mlhealth.errors import DataError, ScorerUnavailable
from mlhealth.scorers.opening import Answer
from mlhealth.scorers.within_budget import ScorerBudget, ScorerWithinBudget

ROWS = pd.DataFrame({"x": np.arange(4.0)})


def zeros(features: pd.DataFrame) -> Answer:
    """Answer 0 to every row."""
    return np.zeros(len(features)), None


def test_rows_are_counted_over_the_questions_of_a_window() -> None:
    """A question that the rest of the budget does not hold is refused; the next window has a full one."""
    asked = ScorerWithinBudget(zeros, ScorerBudget(rows=6))
    assert len(asked(ROWS)[0]) == 4
    with pytest.raises(ScorerUnavailable, match="6 rows, 2 are left and 4 are needed"):
        asked(ROWS)
    assert len(asked.next_window()(ROWS)[0]) == 4


def test_a_scorer_that_hangs_is_given_up_and_not_asked_again_meanwhile() -> None:
    """Waiting ends with the window's seconds; until the late answer is there, nobody asks again."""
    answers = threading.Event()

    def slow(features: pd.DataFrame) -> Answer:
        answers.wait(20)
        return zeros(features)

    asked = ScorerWithinBudget(slow, ScorerBudget(seconds=0.05))
    with pytest.raises(ScorerUnavailable, match=r"longer than the 0.05 s"):
        asked(ROWS)
    with pytest.raises(ScorerUnavailable, match="earlier question"):
        asked.next_window()(ROWS)
    answers.set()
    assert asked._late is not None
    asked._late.join()
    assert len(asked.next_window()(ROWS)[0]) == 4


def test_seconds_are_counted_over_the_questions_of_a_window() -> None:
    """Time spent on one question is not there for the next."""
    now = iter([0.0, 9.0])
    asked = ScorerWithinBudget(zeros, ScorerBudget(seconds=10.0), clock=lambda: next(now))
    asked(ROWS)
    assert asked._seconds == pytest.approx(1.0)


def test_what_the_scorer_raises_comes_through() -> None:
    """A wrong answer is told as it is without a budget."""

    def wrong(features: pd.DataFrame) -> Answer:
        raise DataError("answered 3 of 4 rows")

    with pytest.raises(DataError, match="3 of 4"):
        ScorerWithinBudget(wrong)(ROWS)
