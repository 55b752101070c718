"""The state machine of one alert: inactive -> pending -> firing -> resolved, as a pure function.

An observation is a window's verdict: the condition held, did not hold, or could not be told. What could not be told
changes nothing: an alert neither fires nor resolves for want of knowledge.

`for` and `keep_firing_for` are spans, counted in windows or in event time. With `for: 2` the alert fires at the second
window in a row in which the condition holds; with `for: 2h` as soon as such a run covers two hours. With
`keep_firing_for: 2` it resolves at the third window in a row in which the condition does not hold; with `2h` at the
first that ends more than two hours after the last one that held.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mlhealth.errors import ConflictError
from mlhealth.records import AlertState


@dataclass(frozen=True)
class Span:
    """A length, counted in windows or, where `micros` is given, in event time."""

    windows: int = 0
    micros: int | None = None


@dataclass(frozen=True)
class Hold:
    """How long a condition must hold before its alert fires, and how long it stays after it ceased."""

    wait: Span = Span(windows=1)
    keep: Span = Span(windows=0)


@dataclass(frozen=True)
class Observation:
    """A window's verdict on a rule; `holds` is None where it could not be told. Event times in microseconds."""

    start: int
    end: int
    holds: bool | None


@dataclass(frozen=True)
class Phase:
    """What is remembered of one alert between windows.

    `since`: end of the window at which `state` began. `fired_at`: of the last firing. `run_start`: start of the first
    window of the present run in which the condition held. `held`, `ceased`: lengths of the present run of windows
    that held, and that did not. `last_held`, `last`: end of the last window that held, and that was seen at all.
    """

    state: AlertState = AlertState.INACTIVE
    since: int = 0
    fired_at: int | None = None
    run_start: int | None = None
    held: int = 0
    ceased: int = 0
    last_held: int | None = None
    last: int | None = None


@dataclass(frozen=True)
class Transition:
    """A change of state at the end of a window."""

    before: AlertState
    after: AlertState
    at: int


NEW = Phase()


def advance(phase: Phase, seen: Observation, hold: Hold) -> tuple[Phase, Transition | None]:
    """Return the phase after `seen`, and the transition it made, if any.

    Raises ConflictError when `seen` does not end after the last window: a revision refolds from an earlier phase.
    """
    if phase.last is not None and seen.end <= phase.last:
        raise ConflictError(
            f"a window ending at {seen.end} was evaluated after one ending at {phase.last}; "
            "fold a revision from the state before its window"
        )
    if seen.holds is None:
        return replace(phase, last=seen.end), None
    counted = _count(phase, seen)
    state = _next_state(counted, seen, hold)
    if state is phase.state:
        return counted, None
    fired_at = seen.end if state is AlertState.FIRING else counted.fired_at
    moved = replace(counted, state=state, since=seen.end, fired_at=fired_at)
    return moved, Transition(phase.state, state, seen.end)


def _count(phase: Phase, seen: Observation) -> Phase:
    if seen.holds:
        start = phase.run_start if phase.held and phase.run_start is not None else seen.start
        return replace(
            phase, run_start=start, held=phase.held + 1, ceased=0, last_held=seen.end, last=seen.end
        )
    return replace(phase, held=0, ceased=phase.ceased + 1, last=seen.end)


def _next_state(phase: Phase, seen: Observation, hold: Hold) -> AlertState:
    if phase.state is AlertState.FIRING:
        return AlertState.FIRING if seen.holds or _kept(phase, hold.keep) else AlertState.RESOLVED
    if seen.holds:
        return AlertState.FIRING if _ripe(phase, seen, hold.wait) else AlertState.PENDING
    return AlertState.INACTIVE


def _ripe(phase: Phase, seen: Observation, wait: Span) -> bool:
    if wait.micros is None:
        return phase.held >= wait.windows
    assert phase.run_start is not None
    return seen.end - phase.run_start >= wait.micros


def _kept(phase: Phase, keep: Span) -> bool:
    if keep.micros is None:
        return phase.ceased <= keep.windows
    assert phase.last is not None
    assert phase.last_held is not None
    return phase.last - phase.last_held <= keep.micros
