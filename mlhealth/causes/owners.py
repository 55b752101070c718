"""Whom to call, and what they do first, for each of the four kinds of cause: the same words wherever it is told."""

from __future__ import annotations

from mlhealth.records import Cause

OWNER = {
    Cause.HARDER_TRAFFIC: "the product team, then data science",
    Cause.BROKEN_INPUT: "the team that delivers the data",
    Cause.MODEL_WRONG: "data science",
    Cause.CANNOT_TELL: "data science",
}
"""Who usually owns each kind of cause."""
FIRST_ACTION = {
    Cause.HARDER_TRAFFIC: "look at what kind of case grew; route it to people or retrain on it",
    Cause.BROKEN_INPUT: "look at the columns named, at their source; retraining would learn the fault",
    Cause.MODEL_WRONG: "check the new labels, then retrain or roll back",
    Cause.CANNOT_TELL: "have about 100 rows of this window labelled",
}
"""What to do first for each kind of cause."""


def whom_to_call(cause: Cause | None) -> str:
    """Return whom to call and what they do first.

    >>> whom_to_call(Cause.CANNOT_TELL)
    'data science: first have about 100 rows of this window labelled'
    """
    return "data science" if cause is None else f"{OWNER[cause]}: first {FIRST_ACTION[cause]}"
