"""Rules run over past windows: what would have been told, when and why, beside the truth where it is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlhealth.alerts.context import Circumstances
from mlhealth.alerts.engine import START, step
from mlhealth.alerts.rules import RuleSet
from mlhealth.files.production import FileReport
from mlhealth.objective import Objective
from mlhealth.records import Alert, AlertState, HealthStatus, RetrainingRequest, WindowReport

ON_TIME = Circumstances(lag_seconds=0.0, rejected=0, late=0)
"""A file is complete: nothing lags and nothing comes late."""


@dataclass(frozen=True)
class Outcome:
    """One window of a back-test: its report, the alerts that changed state, the retraining it would have asked for."""

    item: FileReport
    transitions: tuple[Alert, ...]
    requests: tuple[RetrainingRequest, ...]
    notes: tuple[str, ...]

    @property
    def fired(self) -> tuple[Alert, ...]:
        """Alerts that began to fire in this window."""
        return tuple(a for a in self.transitions if a.state is AlertState.FIRING)

    @property
    def resolved(self) -> tuple[Alert, ...]:
        """Alerts that ended in this window."""
        return tuple(a for a in self.transitions if a.state is AlertState.RESOLVED)


@dataclass(frozen=True)
class Truth:
    """How estimates of one metric, and pages, compare with labels, over the windows that have both.

    `error`: mean absolute error in the metric's unit. `coverage`: share (0 to 1) of intervals that hold the truth.
    `fallen`: windows whose labels show a loss beyond the tolerance, `fallen_critical` those of them that were critical;
    `sound_critical`: critical windows whose labels show no such loss.
    """

    metric: str
    windows: int
    error: float
    coverage: float
    fallen: int = 0
    fallen_critical: int = 0
    sound_critical: int = 0


def outcomes(found: Iterable[FileReport], rules: RuleSet) -> Iterator[Outcome]:
    """Yield what each report would have done, in order."""
    state = START
    for item in found:
        turn = step(rules, item.report, state, ON_TIME)
        state = turn.state
        notes = tuple(f"rule {rule}: {why}" for rule, why in turn.notes.items())
        yield Outcome(item, turn.transitions, turn.requests, notes)


def truth(done: Iterable[Outcome], objective: Objective) -> Truth | None:
    """Return how estimates and pages compare with the labels; None where no window has both."""
    known = [one for outcome in done if (one := _compared(outcome.item.report, objective)) is not None]
    if not known:
        return None
    covered = [one.inside for one in known if one.inside is not None]
    return Truth(
        objective.metric,
        len(known),
        sum(one.error for one in known) / len(known),
        sum(covered) / max(len(covered), 1),
        sum(one.fallen for one in known),
        sum(one.fallen and one.critical for one in known),
        sum(one.critical and not one.fallen for one in known),
    )


@dataclass(frozen=True)
class _Compared:
    """One window's estimate, interval and status beside its labels."""

    error: float
    inside: bool | None
    fallen: bool
    critical: bool


def _compared(report: WindowReport, objective: Objective) -> _Compared | None:
    estimate, real = report.estimates.get(objective.metric), report.realized.get(objective.metric)
    if estimate is None or real is None or estimate.value is None:
        return None
    held = estimate.lower is not None and estimate.upper is not None
    inside = estimate.lower <= real <= estimate.upper if held else None  # type: ignore[operator]
    lost = 0.0 if estimate.reference is None else objective.loss(real, estimate.reference)
    critical = report.health.status is HealthStatus.CRITICAL
    return _Compared(abs(estimate.value - real), inside, lost > objective.tolerance, critical)
