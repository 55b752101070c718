"""The false-alarm budget: evidence of harm gathered over windows, and a page only when it is worth one.

Each window's estimated loss counts as evidence for "the tolerance is lost" against "nothing is lost": the logarithm
of their likelihood ratio, summed over windows and never below 0 (CUSUM, Page 1954). Its expectation under "nothing"
is at most 1 by construction, so a limit of ln(windows per allowed page) keeps false pages, on average, within the
budget (Lorden 1971; an e-detector in the sense of Shin, Ramdas and Rinaldo 2023), whatever the windows' sizes.

What the "nothing" allows for: the spread of estimates on the reference's own windows, longer-lasting than independent
windows would make it (`residuals.py`); tails as long as so few of them leave possible; and the sampling error of the
reference metric itself. One window alone never pages: its share of the evidence is capped.

`judge` is pure; its state is small, goes from window to window beside the rules' state, and is refolded like it.
Pages for broken input (most rows of a column at fault, and harm likely) are told at once and not counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtri

from mlhealth.baseline import Baseline, Null
from mlhealth.clock import DAY, HOUR
from mlhealth.detectors.quality import severe
from mlhealth.health import HealthInputs, score
from mlhealth.objective import Objective, standard_deviation
from mlhealth.records import HealthScore, HealthStatus, PerformanceEstimate, Reason, WindowReport
from mlhealth.residuals import DEVIATION, NULL, RESIDUAL

REFERENCE_ERRORS = 1.645
"""Standard errors of the reference metric that are given to the model before anything counts as loss."""
ONE_WINDOW = 0.55
"""Share of the limit that one window can add or take: two are needed to page, and two to resolve."""
LEAST_SCALE = 0.3
"""Estimates are never trusted to spread less than this share of what their own intervals say."""
LEAST_WINDOWS = 3.0
"""A budget of more than one page in so many windows is read as this."""
FREEDOM = 5.0
"""Degrees of freedom of the tails where a few dozen reference windows were replayed."""
SURE_FREEDOM = 30.0
"""The same where an interval is taken at its word."""
HARM = 0.5
"""Probability of harm from which a severe fault of the input pages at once."""


@dataclass(frozen=True)
class AlarmBudget:
    """So many false pages (`incidents`) at most, on average, in `period` microseconds."""

    incidents: float = 1.0
    period: int = 90 * DAY

    def limit(self, window: int, segments: int = 1) -> float:
        """Return the evidence (nats) a page is worth, for windows of `window` microseconds of each of `segments`."""
        windows = segments * self.period / window / self.incidents
        return math.log(max(windows, LEAST_WINDOWS))


@dataclass(frozen=True)
class Spread:
    """What estimates do on reference windows of `sizes` rows, in units of their own standard deviation.

    `bias`: the median residual, at least 0. `scale`: the residuals' spread. `deviation`: the median standard
    deviation itself, in units of loss. `freedom`: degrees of freedom of the residuals' tails.
    """

    sizes: tuple[int, ...]
    bias: tuple[float, ...]
    scale: tuple[float, ...]
    deviation: tuple[float, ...]
    freedom: float

    @classmethod
    def of(cls, residuals: Null, deviations: Null) -> Self:
        """Return the spread of replayed windows."""
        low, middle, high = (residuals.quantiles[:, _place(residuals, level)] for level in (0.1, 0.5, 0.9))
        tail = residuals.quantiles[:, -1] - middle
        scale = np.maximum((high - low) / (2.0 * ndtri(0.9)), tail / ndtri(0.99))
        return cls(
            tuple(int(n) for n in residuals.rows),
            tuple(float(b) for b in np.maximum(middle, 0.0)),
            tuple(float(s) for s in np.maximum(scale, LEAST_SCALE)),
            tuple(float(d) for d in deviations.quantiles[:, _place(deviations, 0.5)]),
            FREEDOM,
        )

    def at(self, rows: int) -> tuple[float, float, float]:
        """Return bias, scale and deviation at a window size."""
        size, known = math.log(max(rows, 1)), np.log(np.array(self.sizes, dtype=np.float64))
        bias, scale, deviation = (
            float(np.interp(size, known, v)) for v in (self.bias, self.scale, self.deviation)
        )
        return bias, scale, deviation


@dataclass(frozen=True)
class BudgetLimits:
    """Everything that `judge` needs beside the report; made once per baseline and budget.

    `limit`: evidence (nats) at which a page is worth it. `reference_error`: of the reference metric, in units of
    loss. `spread`: None where no reference windows were replayed; then intervals are taken at their word.
    `learning`: windows before anything pages.
    """

    objective: Objective
    limit: float
    reference_error: float
    spread: Spread | None = None
    learning: int = 0

    @classmethod
    def of(
        cls,
        baseline: Baseline,
        objective: Objective,
        budget: AlarmBudget = AlarmBudget(),
        *,
        window: int = HOUR,
        segments: int = 1,
        learning: int = 0,
    ) -> Self:
        """Return the limits of a budget that is split evenly over `segments`, for windows of `window` microseconds."""
        reference = baseline.metrics[objective.metric]
        error = objective.scaled(reference.standard_error, reference.value)
        residuals = baseline.nulls.get((NULL, RESIDUAL))
        deviations = baseline.nulls.get((NULL, DEVIATION))
        spread = None if residuals is None or deviations is None else Spread.of(residuals, deviations)
        return cls(objective, budget.limit(window, segments), error, spread, learning)

    @property
    def windows_per_incident(self) -> float:
        """How many windows go by, on average, between two false pages at most."""
        return math.exp(self.limit)


@dataclass(frozen=True)
class BudgetState:
    """What is carried from window to window: evidence so far, whether a page is open, how many windows were seen."""

    evidence: float = 0.0
    incident: bool = False
    windows: int = 0

    def to_data(self) -> dict[str, float | bool | int]:
        """Return the state as JSON-able data."""
        return {"evidence": self.evidence, "incident": self.incident, "windows": self.windows}

    @classmethod
    def from_data(cls, data: Mapping[str, object] | None) -> Self:
        """Return the state that `to_data` gave; None is the state before the first window."""
        if not data:
            return cls()
        evidence, windows = data.get("evidence", 0.0), data.get("windows", 0)
        assert isinstance(evidence, int | float)
        assert isinstance(windows, int)
        return cls(float(evidence), bool(data.get("incident", False)), windows)


@dataclass(frozen=True)
class Ledger:
    """The budget states of one model version, by segment."""

    states: Mapping[str, BudgetState] = field(default_factory=dict)

    def judge(self, report: WindowReport, limits: BudgetLimits) -> tuple[WindowReport, Ledger]:
        """Return the report with the budget's verdict, and the ledger after it."""
        judged, state = judge(report, limits, self.states.get(report.key.segment, BudgetState()))
        return judged, Ledger({**self.states, report.key.segment: state})

    def to_data(self) -> dict[str, object]:
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
    inputs = HealthInputs(
        limits.objective, report.estimates, report.drift, report.quality, report.realized, report.rows
    )
    health = score(inputs)
    gain = evidence(report.estimates.get(limits.objective.metric), report.rows, limits)
    after = _advance(state, gain, limits)
    fault = _input_fault(report, health)
    return replace(report, health=_verdict(health, after, limits, fault=fault)), after


def evidence(estimate: PerformanceEstimate | None, rows: int, limits: BudgetLimits) -> float | None:
    """Return the evidence of one window that the tolerance is lost, in nats; None where it says nothing."""
    if estimate is None or estimate.value is None or estimate.reference is None:
        return None
    deviation = standard_deviation(estimate, limits.objective)
    if deviation is None:
        return None
    return gain(limits.objective.loss(estimate.value, estimate.reference), deviation, rows, limits)


def gain(loss: float, deviation: float, rows: int, limits: BudgetLimits) -> float:
    """Return the evidence of an estimated loss whose own standard deviation is `deviation`, in nats, capped."""
    bias, scale, _ = (0.0, 1.0, 0.0) if limits.spread is None else limits.spread.at(rows)
    freedom = SURE_FREEDOM if limits.spread is None else limits.spread.freedom
    spread = max(deviation * scale, 1e-9)
    net = loss - REFERENCE_ERRORS * limits.reference_error - bias * deviation
    contrast = limits.objective.tolerance / spread
    ratio = contrast * (net / spread - contrast / 2.0)
    most = ONE_WINDOW * limits.limit
    return min(max(ratio - _tail_price(contrast, most, freedom), -most), most)


def _tail_price(contrast: float, most: float, freedom: float) -> float:
    """Return by how much the likelihood ratio must shrink to be fair where tails are those of Student's t."""
    t, weight = _student(freedom)
    ratio = np.minimum(np.maximum(contrast * t - contrast * contrast / 2.0, -most), most)
    return max(math.log(float(np.exp(ratio) @ weight)), 0.0)


@cache
def _student(freedom: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    t = np.linspace(-25.0, 25.0, 401)
    density = np.asarray(stats.t.pdf(t, freedom))
    return t, density / density.sum()


def _place(null: Null, level: float) -> int:
    return int(np.argmin(np.abs(null.levels - level)))


def _advance(state: BudgetState, gain: float | None, limits: BudgetLimits) -> BudgetState:
    windows = state.windows + 1
    if gain is None:
        return replace(state, windows=windows)
    total = min(max(state.evidence + gain, 0.0), limits.limit)
    # A page opens where the evidence reaches the limit, and stays open until all of it has been taken back.
    incident = total > 0.0 if state.incident else total >= limits.limit
    return BudgetState(total, incident, windows)


def _input_fault(report: WindowReport, health: HealthScore) -> bool:
    likely = health.parts.get("probability_of_drop", 0.0) >= HARM
    return likely and any(severe(q) for q in report.quality.values())


def _verdict(health: HealthScore, state: BudgetState, limits: BudgetLimits, *, fault: bool) -> HealthScore:
    parts = {**health.parts, "evidence": state.evidence, "evidence_limit": limits.limit}
    if fault:
        parts["input_fault"] = 1.0
    judged = replace(health, parts=parts)
    if not (state.incident or fault):
        if health.status is not HealthStatus.CRITICAL:
            return judged
        share = state.evidence / limits.limit
        text = f"no page yet: {share:.0%} of the evidence is there that the false-alarm budget asks for"
        return _with(judged, HealthStatus.DEGRADED, text)
    if state.windows <= limits.learning:
        text = f"would have paged; still learning (window {state.windows} of {limits.learning})"
        return _with(judged, HealthStatus.DEGRADED, text)
    if health.status is HealthStatus.CRITICAL:
        return judged
    if health.status is HealthStatus.HEALTHY:
        text = "this window looks well again; the page stays open until more of them do"
    else:
        text = "a loss has built up over the last windows"
    return _with(judged, HealthStatus.CRITICAL, text)


def _with(health: HealthScore, status: HealthStatus, text: str) -> HealthScore:
    return replace(health, status=status, reasons=(*health.reasons, Reason(text, None, health.cause)))
