"""Makes the retraining request of a firing alert, with the evidence a training service and an auditor need."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mlhealth.alerts.retraining_policy import Decision, Fresh, RetrainPolicy, decide
from mlhealth.records import Alert, Cause, RetrainingRequest, RetrainingStatus, WindowReport

AWAITS_APPROVAL = "awaits approval"


@dataclass(frozen=True)
class Trigger:
    """A firing alert with the report that made it ask.

    `since` is the start of the run of windows that held, `cause` what the incident's earlier windows told of it,
    `fresh` what came in since it began.
    """

    alert: Alert
    since: int | None
    report: WindowReport
    cause: Cause | None = None
    fresh: Fresh | None = None


def request_of(
    trigger: Trigger, policy: RetrainPolicy, earlier: Sequence[int]
) -> tuple[RetrainingRequest, Decision]:
    """Return the request, made or refused, and the policy's decision."""
    key = trigger.report.key
    decision = decide(policy, trigger.report, earlier, trigger.cause, trigger.fresh)
    request = RetrainingRequest(
        id=request_id(trigger.alert.fingerprint, policy.service, key.end, decision.kind),
        model=key.model,
        version=key.version,
        rule=trigger.alert.rule,
        reason=decision.reason if decision.allowed else f"refused: {decision.reason}",
        service=policy.service,
        data_start=trigger.since if trigger.since is not None else key.start,
        data_end=key.end,
        evidence=evidence_of(trigger.report)
        | {"alert": {"fingerprint": trigger.alert.fingerprint, "fired_at": trigger.alert.fired_at}},
        status=RetrainingStatus.REQUESTED if decision.allowed else RetrainingStatus.REFUSED,
        created=key.end,
        detail=AWAITS_APPROVAL if decision.allowed and policy.approval else None,
    )
    return request, decision


def request_id(fingerprint: str, service: str, window_end: int, kind: str) -> str:
    """Return the idempotency key of a request: the same alert in the same window asks once."""
    text = "\x1f".join((fingerprint, service, str(window_end), kind))
    return f"mlhealth-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def evidence_of(report: WindowReport) -> dict[str, object]:
    """Return what the report says, small enough to travel with the request."""
    drifted = {n: d for n, d in report.drift.items() if d.drifted}
    return {
        "window": asdict(report.key) | {"revision": report.revision, "rows": report.rows},
        "baseline": report.baseline,
        "estimates": {
            name: {
                "value": e.value, "lower": e.lower, "upper": e.upper, "reference": e.reference,
                "status": str(e.status), "method": e.method,
            }
            for name, e in report.estimates.items()
        },
        "health": {
            "score": report.health.score,
            "status": str(report.health.status),
            "cause": None if report.health.cause is None else str(report.health.cause),
            "reasons": [reason.text for reason in report.health.reasons],
        },
        "drifted_features": {n: {"statistic": d.statistic, "threshold": d.threshold} for n, d in drifted.items()},
        "realized": dict(report.realized),
    }  # fmt: skip
