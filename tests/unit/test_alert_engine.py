"""The engine: what a window does to alerts, notices and retraining requests."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mlhealth.alerts import notice
from mlhealth.alerts.context import Circumstances
from mlhealth.alerts.engine import START, EngineState, Told, refold, step
from mlhealth.alerts.notice import NoticeKind
from mlhealth.alerts.rules import RuleSet, parse_rules
from mlhealth.errors import ConflictError
from mlhealth.records import AlertState, Cause, RetrainingStatus
from tests.alert_rules import DESIGN_RULE, design_rules, fold, window


def test_a_fall_is_told_once_and_so_is_its_end() -> None:
    """Over healthy, three critical and healthy windows, one firing and one resolved notice go out."""
    steps = fold(
        design_rules(), [window(n, s) for n, s in enumerate(["healthy", *["critical"] * 3, "healthy"])]
    )
    kinds = [[n.kind for n in s.notices] for s in steps]
    assert kinds == [[], [NoticeKind.FIRING], [], [], [NoticeKind.RESOLVED]]


def test_the_story_is_for_a_sleepy_person() -> None:
    """A notice says which cause, whose it is, how bad (interval, former value), since when, why, what was done."""
    told = step(design_rules(), window(0, cause=Cause.BROKEN_INPUT)).notices[0].story
    assert told.cause == "broken input"
    assert told.owner.startswith("the team that delivers the data: first look at the columns named")
    assert told.harm == "estimated accuracy 81.2 % (79.4 % to 83.0 %), was 87.1 %"
    assert told.window == "2026-01-01 00:00 to 01:00 UTC, 2000 rows"
    assert told.reasons == ("accuracy fell",)
    assert "retraining not requested: the input is broken" in told.done[0]


def test_the_state_survives_json() -> None:
    """State and notices come back from JSON as they were."""
    outcome = step(design_rules(), window(0))
    assert EngineState.from_data(json.loads(json.dumps(outcome.state.to_data()))) == outcome.state
    assert EngineState.from_data(None) == START
    assert notice.from_json(notice.to_json(outcome.notices[0])) == outcome.notices[0]


def test_the_same_window_makes_the_same_rows() -> None:
    """A rerun from the same state gives equal keys, so that a second write adds nothing."""
    assert step(design_rules(), window(0)) == step(design_rules(), window(0))


def test_windows_out_of_order_are_refused() -> None:
    """A window that does not end later than the last is an error, not a silent second count."""
    state = step(design_rules(), window(1)).state
    with pytest.raises(ConflictError, match="fold a revision"):
        step(design_rules(), window(1), state)


def test_broken_input_is_not_trained_on_until_the_cause_changes() -> None:
    """The default policy refuses a data fault once, with its reason, and asks when the cause turns out otherwise."""
    reports = [window(0, cause=Cause.BROKEN_INPUT), window(1, cause=Cause.BROKEN_INPUT), window(2), window(3)]
    requests = [s.requests for s in fold(design_rules(), reports)]
    assert [[r.status for r in made] for made in requests] == [
        [RetrainingStatus.REFUSED], [], [RetrainingStatus.REQUESTED], [],
    ]  # fmt: skip
    assert "mend the data first" in requests[0][0].reason
    asked = requests[2][0]
    assert (asked.data_start, asked.data_end) == (reports[0].key.start, reports[2].key.end)
    assert asked.evidence["drifted_features"] == {"income": {"statistic": 0.31, "threshold": 0.12}}


def test_a_broken_input_is_remembered_when_a_later_window_cannot_tell() -> None:
    """A page that outlives its broken windows does not ask for a training because the rest says nothing."""
    reports = [window(0, cause=Cause.BROKEN_INPUT), window(1, cause=Cause.CANNOT_TELL), window(2, cause=None)]
    requests = [request for step in fold(design_rules(), reports) for request in step.requests]
    assert [request.status for request in requests] == [RetrainingStatus.REFUSED]


def test_a_person_may_allow_training_on_broken_input() -> None:
    """`even_if_input_is_broken` overrides the refusal."""
    text = DESIGN_RULE.replace("retrain: gpu", "retrain: {service: gpu, even_if_input_is_broken: true}")
    made = step(parse_rules(text), window(0, cause=Cause.BROKEN_INPUT)).requests
    assert made[0].status is RetrainingStatus.REQUESTED


def test_cooldown_and_budget_hold_requests_back() -> None:
    """A second firing within the cooldown is refused; so is one over the budget of thirty days."""
    on_off = [window(n, "critical" if n % 2 == 0 else "healthy") for n in range(6)]
    cooled = [r for s in fold(design_rules(), on_off) for r in s.requests]
    assert [r.status for r in cooled] == [RetrainingStatus.REQUESTED, *[RetrainingStatus.REFUSED] * 2]
    assert "cooldown is 1d" in cooled[1].reason
    tight = parse_rules(
        DESIGN_RULE.replace("retrain: gpu", "retrain: {service: gpu, cooldown: 1h, budget: 2}")
    )
    spent = [r for s in fold(tight, on_off) for r in s.requests]
    assert [r.status for r in spent][-1] is RetrainingStatus.REFUSED
    assert "the budget is 2" in spent[-1].reason


def test_an_unknown_window_does_not_resolve() -> None:
    """An alert on the score keeps firing while the score cannot be told, and the rule's trouble is noted."""
    rules = parse_rules(DESIGN_RULE.replace('health.status == "critical"', "health.score < 50.0"))
    steps = fold(rules, [window(0), window(1, "unknown"), window(2, "healthy")])
    assert steps[1].transitions == ()
    assert "PredictedAccuracyDrop" in steps[1].notes
    assert steps[2].notices[0].kind is NoticeKind.RESOLVED


def test_a_removed_rule_resolves_what_it_had_told() -> None:
    """When a rule goes away while its alert fires, those who were told are told the end."""
    state = step(design_rules(), window(0)).state
    outcome = step(RuleSet(), window(1), state)
    assert [n.kind for n in outcome.notices] == [NoticeKind.RESOLVED]
    assert outcome.state.alerts == {}


def test_segments_only_where_a_rule_asks() -> None:
    """A rule looks at segments only with `segments: true`, and then keeps them apart."""
    eu = window(0, segment="region=eu")
    assert step(design_rules(), eu).transitions == ()
    both = parse_rules(DESIGN_RULE.replace("for: 1 ", "segments: true\n    for: 1 "))
    overall, part = step(both, window(0)), step(both, eu)
    assert overall.transitions[0].fingerprint != part.transitions[0].fingerprint
    assert "(region=eu)" in part.notices[0].story.title


def test_a_revision_that_calms_a_window_resolves_once() -> None:
    """A late revision that makes the window healthy tells the end; evaluating it again tells the same row."""
    rules = design_rules()
    before = step(rules, window(0, "healthy")).state
    told = fold(rules, [window(1), window(2)], before)[-1].state
    revised = [replace(window(1, "healthy"), revision=1), window(2, "healthy")]
    outcome = refold(rules, revised, Told(before, told))
    assert [(n.kind, n.receiver) for n in outcome.notices] == [(NoticeKind.RESOLVED, "oncall")]
    assert refold(rules, revised, Told(before, told)).notices == outcome.notices
    assert (
        all(m.alert.state is AlertState.INACTIVE for m in outcome.state.alerts.values())
        or not outcome.state.alerts
    )


def test_a_revision_that_changes_nothing_tells_nobody() -> None:
    """Refolding windows that fire as before sends no notice and asks for no second training."""
    rules = design_rules()
    told = fold(rules, [window(0), window(1)])[-1].state
    outcome = refold(rules, [replace(window(0), revision=1), window(1)], Told(START, told))
    assert outcome.notices == ()
    assert outcome.requests == ()
    assert outcome.state.asked == told.asked


def test_a_revision_that_uncovers_harm_tells_it() -> None:
    """A late revision that makes a calm window critical raises the alert with its request."""
    rules = design_rules()
    told = fold(rules, [window(0, "healthy"), window(1, "healthy")])[-1].state
    outcome = refold(
        rules, [replace(window(0), revision=1), replace(window(1), revision=1)], Told(START, told)
    )
    assert [n.kind for n in outcome.notices] == [NoticeKind.FIRING]
    assert len(outcome.requests) == 1


def test_an_alert_keeps_its_labels_to_its_end() -> None:
    """Labels that a template computes are those of the firing, also when it resolves: receivers match by them."""
    text = DESIGN_RULE.replace("for: 1 ", 'labels: {score: "{{ health.score | number }}"}\n    for: 1 ')
    fired, ended = fold(parse_rules(text), [window(0), window(1, "healthy")])
    assert fired.transitions[0].labels == ended.transitions[0].labels == {"score": "5"}


def test_a_revision_is_judged_under_the_circumstances_of_its_window() -> None:
    """A rule about lag or volume that fired stays as it was when the window is revised: they did not change."""
    rules = parse_rules("rules: [{alert: Slow, when: lag.seconds > 60.0, notify: [oncall]}]")
    late = Circumstances(lag_seconds=90.0, rejected=1, late=0)
    told = step(rules, window(0, "healthy"), START, late).state
    again = [replace(window(0, "healthy"), revision=1)]
    kept = refold(rules, again, Told(START, told, {again[0].key.end: late}))
    assert kept.notices == ()
    assert [m.alert.state for m in kept.state.alerts.values()] == [AlertState.FIRING]
    forgotten = refold(rules, again, Told(START, told))
    assert [n.kind for n in forgotten.notices] == [NoticeKind.RESOLVED]
