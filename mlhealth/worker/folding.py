"""What is carried from window to window of a model version: the budget's evidence and the rules' state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mlhealth.alerts.context import Circumstances
from mlhealth.alerts.engine import EngineState, Step, step
from mlhealth.alerts.rules import RuleSet
from mlhealth.budget import BudgetLimits, Ledger
from mlhealth.records import WindowReport

LimitsOf = Callable[[str], BudgetLimits]
"""Given a baseline's hash: the false-alarm budget of its model."""


@dataclass(frozen=True)
class Carried:
    """The state before a window."""

    rules: EngineState
    ledger: Ledger = field(default_factory=Ledger)

    @classmethod
    def from_data(cls, data: object) -> Carried:
        """Return what `to_data` gave; None is the state before the first window."""
        found = data if isinstance(data, Mapping) else {}
        return cls(EngineState.from_data(found.get("rules")), Ledger.from_data(found.get("budget")))

    def to_data(self) -> dict[str, object]:
        """Return the state as JSON-able data."""
        return {"rules": self.rules.to_data(), "budget": self.ledger.to_data()}


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
    rules: RuleSet, reports: Sequence[WindowReport], before: EngineState, circumstances: Circumstances | None
) -> tuple[list[Step], EngineState]:
    """Return what the rules make of judged reports, in order, and their state after them."""
    steps: list[Step] = []
    state = before
    for report in reports:
        told = (
            step(rules, report, state) if circumstances is None else step(rules, report, state, circumstances)
        )
        steps.append(told)
        state = told.state
    return steps, state
