"""What is carried from window to window of a model version: the budget's evidence and the rules' state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from mlhealth.alerts.context import NO_CIRCUMSTANCES, Circumstances
from mlhealth.alerts.engine import EngineState, Step, step
from mlhealth.alerts.rules import RuleSet
from mlhealth.budget.evidence import BudgetLimits, Ledger
from mlhealth.records import WindowReport

LimitsOf = Callable[[str], BudgetLimits]
"""Given a baseline's hash: the false-alarm budget of its model."""


@dataclass(frozen=True)
class Carried:
    """The state before a window.

    `circumstances` are those of the window before it, kept so that a revision is judged under the same. `unused` is how
    many events of the model version were rejected, and came too late, until then.
    """

    rules: EngineState
    ledger: Ledger = field(default_factory=Ledger)
    circumstances: Circumstances = NO_CIRCUMSTANCES
    unused: tuple[int, int] | None = None

    @classmethod
    def from_data(cls, data: object) -> Carried:
        """Return what `to_data` gave; None is the state before the first window."""
        found = data if isinstance(data, Mapping) else {}
        rules, ledger = EngineState.from_data(found.get("rules")), Ledger.from_data(found.get("budget"))
        unused = found.get("unused")
        seen = Circumstances(**found.get("circumstances") or {})
        return cls(rules, ledger, seen, None if unused is None else (int(unused[0]), int(unused[1])))

    def to_data(self) -> dict[str, object]:
        """Return the state as JSON-able data."""
        return {
            "rules": self.rules.to_data(),
            "budget": self.ledger.to_data(),
            "circumstances": asdict(self.circumstances),
            "unused": self.unused,
        }

    def since(self, unused: tuple[int, int], lag_seconds: float) -> Circumstances:
        """Return the circumstances of the window that follows, when `unused` events were counted by its end."""
        before = self.unused or unused
        return Circumstances(lag_seconds, unused[0] - before[0], unused[1] - before[1])


def judge(
    reports: Sequence[WindowReport], ledger: Ledger, limits: LimitsOf
) -> tuple[list[WindowReport], Ledger]:
    """Return the reports with the budget's verdicts, in order, and the ledger after them."""
    judged = []
    for report in reports:
        verdict, ledger = ledger.judge(report, limits(report.baseline))
        judged.append(verdict)
    return judged, ledger


def fold(
    rules: RuleSet, reports: Sequence[WindowReport], before: EngineState, circumstances: Circumstances
) -> tuple[list[Step], EngineState]:
    """Return what the rules make of judged reports, in order, and their state after them."""
    steps: list[Step] = []
    state = before
    for report in reports:
        told = step(rules, report, state, circumstances)
        steps.append(told)
        state = told.state
    return steps, state
