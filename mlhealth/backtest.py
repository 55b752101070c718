"""Rules run over past windows: what would have been told, when and why, beside the truth where it is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlhealth.alerts.context import Circumstances
from mlhealth.alerts.engine import START, step
from mlhealth.alerts.rules import RuleSet
from mlhealth.files.production import FileReport
from mlhealth.records import Alert, AlertState, RetrainingRequest

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
    """How estimates of one metric compare with labels, over the windows that have both.

    `error`: mean absolute error in the metric's unit. `coverage`: share (0 to 1) of intervals that hold the truth.
    """

    metric: str
    windows: int
    error: float
    coverage: float


def outcomes(found: Iterable[FileReport], rules: RuleSet) -> Iterator[Outcome]:
    """Yield what each report would have done, in order."""
    state = START
    for item in found:
        turn = step(rules, item.report, state, ON_TIME)
        state = turn.state
        notes = tuple(f"rule {rule}: {why}" for rule, why in turn.notes.items())
        yield Outcome(item, turn.transitions, turn.requests, notes)


def truth(done: Iterable[Outcome], metric: str) -> Truth | None:
    """Return how the estimates of `metric` compare with the labels; None where no window has both."""
    errors: list[float] = []
    inside: list[bool] = []
    for outcome in done:
        report = outcome.item.report
        estimate, real = report.estimates.get(metric), report.realized.get(metric)
        if estimate is None or real is None or estimate.value is None:
            continue
        errors.append(abs(estimate.value - real))
        if estimate.lower is not None and estimate.upper is not None:
            inside.append(estimate.lower <= real <= estimate.upper)
    if not errors:
        return None
    return Truth(metric, len(errors), sum(errors) / len(errors), sum(inside) / max(len(inside), 1))
