"""The state machine of an alert under any history of windows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlhealth.alerts.state import NEW, Hold, Observation, Phase, Span, Transition, advance
from mlhealth.clock import HOUR
from mlhealth.records import AlertState

VERDICTS = st.lists(st.sampled_from([True, False, None]), max_size=40)
SPANS = st.integers(1, 5)
KEEPS = st.integers(0, 4)


def run(verdicts: list[bool | None], hold: Hold) -> tuple[list[Phase], list[Transition]]:
    """Return the phases after each window, and the transitions."""
    phase, phases, moves = NEW, list[Phase](), list[Transition]()
    for n, holds in enumerate(verdicts):
        phase, move = advance(phase, Observation(n * HOUR, (n + 1) * HOUR, holds), hold)
        phases.append(phase)
        moves += [move] if move else []
    return phases, moves


ALLOWED = {
    (AlertState.INACTIVE, AlertState.PENDING), (AlertState.INACTIVE, AlertState.FIRING),
    (AlertState.PENDING, AlertState.FIRING), (AlertState.PENDING, AlertState.INACTIVE),
    (AlertState.FIRING, AlertState.RESOLVED), (AlertState.RESOLVED, AlertState.INACTIVE),
    (AlertState.RESOLVED, AlertState.PENDING), (AlertState.RESOLVED, AlertState.FIRING),
}  # fmt: skip


@given(VERDICTS, SPANS, KEEPS)
def test_only_the_allowed_changes_happen_and_join_up(
    verdicts: list[bool | None], wait: int, keep: int
) -> None:
    """Each change starts where the last one ended, and is one of the eight that exist."""
    _, moves = run(verdicts, Hold(Span(wait), Span(keep)))
    state = AlertState.INACTIVE
    for move in moves:
        assert move.before is state
        assert (move.before, move.after) in ALLOWED
        state = move.after


@given(VERDICTS, SPANS, KEEPS)
def test_it_fires_exactly_after_the_run_it_waits_for(
    verdicts: list[bool | None], wait: int, keep: int
) -> None:
    """It starts to fire at, and only at, the `wait`-th window in a row that held (unknown ones apart)."""
    phases, _ = run(verdicts, Hold(Span(wait), Span(keep)))
    held, ceased, firing = 0, 0, False
    for holds, phase in zip(verdicts, phases, strict=True):
        if holds is not None:
            held, ceased = (held + 1, 0) if holds else (0, ceased + 1)
            firing = (holds or ceased <= keep) if firing else held >= wait
        assert (phase.state is AlertState.FIRING) is firing


@given(VERDICTS, SPANS, KEEPS)
def test_windows_and_time_say_the_same_for_equal_windows(
    verdicts: list[bool | None], wait: int, keep: int
) -> None:
    """With windows of an hour and none unknown, `for: 3` and `for: 3h` are the same rule."""
    known = [holds for holds in verdicts if holds is not None]
    by_count, _ = run(list(known), Hold(Span(wait), Span(keep)))
    by_time, _ = run(list(known), Hold(Span(micros=wait * HOUR), Span(micros=keep * HOUR)))
    assert by_count == by_time


@given(VERDICTS, SPANS, KEEPS)
def test_what_cannot_be_told_changes_nothing(verdicts: list[bool | None], wait: int, keep: int) -> None:
    """Taking the unknown windows out leaves every state of the others as it was."""
    hold = Hold(Span(wait), Span(keep))
    phases, _ = run(verdicts, hold)
    known = [(v, p) for v, p in zip(verdicts, phases, strict=True) if v is not None]
    alone, _ = run([v for v, _ in known], hold)
    assert [p.state for p in alone] == [p.state for _, p in known]


@given(VERDICTS, SPANS, st.integers(0, 3))
def test_keeping_longer_never_makes_more_noise(verdicts: list[bool | None], wait: int, keep: int) -> None:
    """A longer `keep_firing_for` never raises the number of times an alert starts to fire."""
    fired = [
        sum(move.after is AlertState.FIRING for move in run(verdicts, Hold(Span(wait), Span(k)))[1])
        for k in (keep, keep + 1)
    ]
    assert fired[1] <= fired[0]
