"""The false-alarm budget: evidence of harm gathered over windows, and a page only when it is worth one.

Each window's estimated loss counts as evidence for "the tolerance is lost" against "nothing is lost": the logarithm
of their likelihood ratio, summed over windows and never below 0 (CUSUM, Page 1954). A page opens where it reaches the
limit that the budget allows (`budget_limits.py`, `budget_bootstrap.py`). Every segment, and every metric that may
page, gathers evidence of its own against an equal share of the budget.

What the "nothing" allows for: the spread of estimates on the reference's own windows, longer-lasting than independent
windows would make it (`residuals.py`); tails as long as so few of them leave possible; and the sampling error of the
reference metric itself. One window alone never pages: its share of the evidence is capped.

`judge` is pure; its state is small, goes from window to window beside the rules' state, and is refolded like it.
Pages for broken input (most rows of a column at fault, and harm likely) are told at once and not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from mlhealth.budget.limits import AlarmBudget, BudgetLimits, Spread, gain
from mlhealth.budget.onset import in_words, onsets
from mlhealth.budget.state import BudgetState, Tally
from mlhealth.clock import format_duration
from mlhealth.detectors.quality import severe
from mlhealth.detectors.window_faults import SERIES
from mlhealth.health import HealthInputs, score
from mlhealth.labels.believed import believed, estimate_of_labels
from mlhealth.objective import standard_deviation
from mlhealth.records import HealthScore, HealthStatus, PerformanceEstimate, Reason, WindowReport
from mlhealth.series import watch

__all__ = ["AlarmBudget", "BudgetLimits", "BudgetState", "Ledger", "Spread", "Tally", "gain", "judge"]

HARM = 0.5
"""Probability of harm from which a severe fault of the input pages at once."""
GAP = 24
"""Windows of silence after which a window that looks well is not called so: much may have changed unseen."""
SMALLEST = 0.2
"""Windows smaller than this share of the smallest calibrated one cannot be called healthy."""


@dataclass(frozen=True)
class Ledger:
    """The budget states of one model version, by segment."""

    states: Mapping[str, BudgetState] = field(default_factory=dict)

    def judge(self, report: WindowReport, limits: BudgetLimits) -> tuple[WindowReport, Ledger]:
        """Return the report with the budget's verdict, and the ledger after it."""
        judged, state = judge(report, limits, self.states.get(report.key.segment, BudgetState()))
        return judged, Ledger({**self.states, report.key.segment: state})

    def to_data(self) -> dict[str, Any]:
        """Return the ledger as JSON-able data."""
        return {segment: state.to_data() for segment, state in sorted(self.states.items())}

    @classmethod
    def from_data(cls, data: Mapping[str, object] | None) -> Self:
        """Return the ledger that `to_data` gave; None is an empty one."""
        states = {k: BudgetState.from_data(v) for k, v in (data or {}).items() if isinstance(v, Mapping)}
        return cls(states)


def judge(report: WindowReport, limits: BudgetLimits, state: BudgetState) -> tuple[WindowReport, BudgetState]:
    """Return the report whose health says `critical` only where the budget allows, and the state after it.

    The health is scored anew from the report, so that a report may be judged again after an earlier one was revised.
    """
    said, series = watch(report, state.series, limits.objective)
    own = tuple(result for result in report.detectors if result.detector not in SERIES)
    report = replace(report, detectors=(*own, *said))
    begun = onsets(report, state.onsets)
    since = {name: in_words(start, report.key.end) for name, start in begun.items()}
    health = score(HealthInputs.of(report, limits.objective, since))
    primary = state.primary.after(_evidence_of(report, limits), limits.limit)
    others = {
        one.objective.metric: state.others.get(one.objective.metric, Tally()).after(
            _evidence_of(report, one), one.limit
        )
        for one in limits.others
    }
    end = max(report.key.end, state.end or report.key.end)
    after = BudgetState(primary, state.windows + 1, end, others, series, begun)
    health = _cautious(health, report, limits, state)
    fault = _input_fault(report, health)
    return replace(report, health=_verdict(health, after, limits, fault=fault)), after


def _evidence_of(report: WindowReport, limits: BudgetLimits) -> float | None:
    """Return a window's evidence; labels are taken at their interval's word, the replayed spread is the estimate's."""
    metric = limits.objective.metric
    estimate, seen = report.estimates.get(metric), estimate_of_labels(report.labels, metric)
    if seen is None:
        found = evidence(estimate, report.telling_rows, limits)
    else:
        found = evidence(believed(estimate, seen), report.telling_rows, replace(limits, spread=None))
    return None if found is None else found / limits.overlap


def evidence(estimate: PerformanceEstimate | None, rows: int, limits: BudgetLimits) -> float | None:
    """Return the evidence of one window that the tolerance is lost, in nats; None where it says nothing."""
    if estimate is None or estimate.value is None or estimate.reference is None:
        return None
    deviation = standard_deviation(estimate, limits.objective)
    if deviation is None:
        return None
    return gain(limits.objective.loss(estimate.value, estimate.reference), deviation, rows, limits)


def _cautious(
    health: HealthScore, report: WindowReport, limits: BudgetLimits, state: BudgetState
) -> HealthScore:
    """Return the health, `unknown` in place of `healthy` where what was calibrated does not reach the window."""
    if health.status is not HealthStatus.HEALTHY:
        return health
    if limits.spread is None:
        text = "the reference is too short to calibrate on: fit the baseline on 800 labelled rows or more"
        return _with(health, HealthStatus.UNKNOWN, text)
    least = SMALLEST * limits.spread.sizes[0]
    if report.telling_rows < least:
        text = f"{report.telling_rows} rows are far fewer than any calibrated window ({limits.spread.sizes[0]} rows)"
        return _with(health, HealthStatus.UNKNOWN, text)
    width = report.key.end - report.key.start
    silence = 0 if state.end is None else report.key.start - state.end
    if silence > GAP * max(width, limits.every, 1):
        text = f"no window came for {format_duration(silence)} before this one: what changed meanwhile was not seen"
        return _with(health, HealthStatus.UNKNOWN, text)
    return health


def _input_fault(report: WindowReport, health: HealthScore) -> bool:
    likely = health.parts.get("probability_of_drop", 0.0) >= HARM
    return likely and any(severe(q) for q in report.quality.values())


def _verdict(health: HealthScore, state: BudgetState, limits: BudgetLimits, *, fault: bool) -> HealthScore:
    parts = {**health.parts, "evidence": state.primary.evidence, "evidence_limit": limits.limit}
    if fault:
        parts["input_fault"] = 1.0
    judged = replace(health, parts=parts)
    lost = [metric for metric, tally in state.others.items() if tally.incident]
    if not (state.primary.incident or lost or fault):
        if health.status is not HealthStatus.CRITICAL:
            return judged
        share = state.primary.evidence / limits.limit
        text = f"no page yet: {share:.0%} of the evidence is there that the false-alarm budget asks for"
        return _with(judged, HealthStatus.DEGRADED, text)
    if state.windows <= limits.learning:
        text = f"would have paged; still learning (window {state.windows} of {limits.learning})"
        return _with(replace(judged, parts={**parts, "would_page": 1.0}), HealthStatus.DEGRADED, text)
    for metric in lost:
        judged = _with(
            judged, HealthStatus.CRITICAL, f"a loss of {metric} has built up over the last windows"
        )
    if health.status is HealthStatus.CRITICAL or not (state.primary.incident or fault):
        return judged
    if health.status is HealthStatus.HEALTHY:
        text = "this window looks well again; the page stays open until more of them do"
    else:
        text = "a loss has built up over the last windows"
    return _with(judged, HealthStatus.CRITICAL, text)


def _with(health: HealthScore, status: HealthStatus, text: str) -> HealthScore:
    """Return the health with another status and, right after what happened, why it has that."""
    first, others = health.reasons[:1], health.reasons[1:]
    return replace(health, status=status, reasons=(*first, Reason(text, None, health.cause), *others))
