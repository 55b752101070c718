"""When a firing alert may ask for a retraining."""

from __future__ import annotations

from dataclasses import replace

from mlhealth.alerts.retraining_policy import RetrainPolicy, decide
from mlhealth.records import Cause, HealthScore, HealthStatus, WindowKey, WindowReport


def report(cause: Cause | None, **parts: float) -> WindowReport:
    """Return the report of a critical window."""
    health = HealthScore(20.0, HealthStatus.CRITICAL, "accuracy", 0.05, cause, (), parts)
    return WindowReport(WindowKey("loans", "1", "", 0, 60), 0, "hash", 500, {}, health, {})


def test_harm_that_retraining_can_heal_is_asked_for() -> None:
    """Traffic that has become harder, with the evidence a page is worth, may be retrained for."""
    harmed = report(Cause.HARDER_TRAFFIC, probability_of_drop=0.9, evidence=4.5, evidence_limit=4.5)
    assert decide(RetrainPolicy("gpu"), harmed, ()).allowed


def test_broken_input_is_not_retrained_for() -> None:
    """A model trained on a broken input would learn the fault, so the policy refuses and says so."""
    decision = decide(RetrainPolicy("gpu"), report(Cause.BROKEN_INPUT, probability_of_drop=1.0), ())
    assert not decision.allowed
    assert "learn the fault" in decision.reason


def test_a_window_that_looks_well_again_asks_for_nothing() -> None:
    """While a page is only held open after a recovery, no training is asked for."""
    held = report(None, probability_of_drop=0.001, evidence=2.0, evidence_limit=4.5)
    decision = decide(RetrainPolicy("gpu"), held, ())
    assert (decision.allowed, decision.kind) == (False, "well")


def test_small_lasting_harm_is_retrained_for() -> None:
    """Many windows that each look half harmed add up: with all the evidence there, the request is made."""
    lasting = report(Cause.HARDER_TRAFFIC, probability_of_drop=0.4, evidence=4.5, evidence_limit=4.5)
    assert decide(RetrainPolicy("gpu"), lasting, ()).allowed


def test_a_window_without_events_asks_for_nothing() -> None:
    """Silence is no evidence that the model got worse, though a page may stay open through it."""
    silent = replace(report(Cause.MODEL_WRONG), rows=0)
    decision = decide(RetrainPolicy("gpu"), silent, ())
    assert (decision.allowed, decision.kind) == (False, "rows")
