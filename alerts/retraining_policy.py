"""Whether an alert may ask for a retraining: a pure decision, with its reason.

Training on what a broken pipeline sent teaches the model the fault, so broken input is refused unless a person said
otherwise. A cooldown and a budget keep one bad week from filling the training queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlhealth.clock import DAY, format_duration, to_iso
from mlhealth.records import Cause, HealthStatus, WindowReport


@dataclass(frozen=True)
class RetrainPolicy:
    """When a firing alert may ask `service` for a retraining.

    `cooldown`: microseconds of event time between two requests for one model version. `budget`: requests allowed in
    any 30 days. `min_rows`: rows the window must have. `min_fresh_rows`, `min_fresh_labels`: rows and labels that must
    have come in since the run of bad windows began. `causes_refused`: kinds of cause that retraining does not heal.
    `approval`: a person must approve before the request is sent. `sample`: rows of the window that the request
    suggests to have labelled.
    """

    service: str
    cooldown: int = DAY
    budget: int = 4
    min_rows: int = 0
    causes_refused: frozenset[Cause] = frozenset({Cause.BROKEN_INPUT})
    approval: bool = False
    min_fresh_rows: int = 0
    min_fresh_labels: int = 0
    sample: int = 50


@dataclass(frozen=True)
class Fresh:
    """Rows and labels that came in since the trouble began: what a new version could learn from."""

    rows: int = 0
    labels: int = 0

    def adding(self, report: WindowReport) -> Fresh:
        """Return what there is after another window."""
        labelled = report.labels.labelled if report.labels is not None else 0
        return Fresh(self.rows + report.rows, self.labels + labelled)


@dataclass(frozen=True)
class Decision:
    """Whether to ask for a retraining, and why (not), in words."""

    allowed: bool
    kind: str
    reason: str


def decide(
    policy: RetrainPolicy,
    report: WindowReport,
    earlier: Sequence[int],
    cause: Cause | None = None,
    fresh: Fresh | None = None,
) -> Decision:
    """Return whether `report` may trigger a retraining.

    `earlier` are event times of requests already made; `cause` is the incident's, as `latest_cause` follows it; `fresh`
    is what came in since it began, this window included.
    """
    cause = latest_cause(report, cause)
    if cause in policy.causes_refused:
        return Decision(False, "cause", _refusal(cause))
    if report.rows == 0:
        return Decision(False, "rows", "no events came in this window, so it says nothing of the model")
    if _looks_well(report):
        return Decision(False, "well", "this window looks well again; the page only waits for more like it")
    if report.rows < policy.min_rows:
        return Decision(
            False, "rows", f"the window has {report.rows} rows, the policy asks for {policy.min_rows}"
        )
    if (short := _too_few(policy, fresh or Fresh().adding(report))) is not None:
        return short
    now = report.key.end
    if earlier and now - max(earlier) < policy.cooldown:
        since = to_iso(max(earlier))
        return Decision(
            False, "cooldown", f"asked at {since}; the cooldown is {format_duration(policy.cooldown)}"
        )
    spent = sum(now - at < 30 * DAY for at in earlier)
    if spent >= policy.budget:
        return Decision(False, "budget", f"{spent} requests in 30 days, the budget is {policy.budget}")
    return Decision(True, "allowed", _ground(report))


def latest_cause(report: WindowReport, before: Cause | None) -> Cause | None:
    """Return an incident's cause after a window: one that cannot tell does not unsay what an earlier one told."""
    cause = report.health.cause
    return before if before is not None and cause in (None, Cause.CANNOT_TELL) else cause


def _too_few(policy: RetrainPolicy, fresh: Fresh) -> Decision | None:
    wanted = {"rows": (fresh.rows, policy.min_fresh_rows), "labels": (fresh.labels, policy.min_fresh_labels)}
    for name, (found, least) in wanted.items():
        if found < least:
            reason = f"{found} {name} came since the trouble began, the policy asks for {least}"
            return Decision(False, f"fresh {name}", reason)
    return None


def _looks_well(report: WindowReport) -> bool:
    """Whether a page is open only because a recovery is not yet certain."""
    parts = report.health.parts
    known = "probability_of_drop" in parts and "evidence" in parts and "evidence_limit" in parts
    return (
        report.health.status is HealthStatus.CRITICAL
        and known
        and parts["probability_of_drop"] < 0.5
        and parts["evidence"] < parts["evidence_limit"]
    )


def _refusal(cause: Cause | None) -> str:
    if cause is Cause.BROKEN_INPUT:
        return "the input is broken: a model trained on it would learn the fault; mend the data first"
    return f"the cause is {cause}, which the policy does not retrain for"


def _ground(report: WindowReport) -> str:
    if report.health.reasons:
        return report.health.reasons[0].text
    return f"the model's health is {report.health.status}"
