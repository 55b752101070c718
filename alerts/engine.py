"""The alert engine: rules, a report and what was remembered, to what is remembered now and what must be told.

Pure. The worker persists the new state, the transitions, the notices and the retraining requests in the transaction
that writes the report. `step` takes the windows of one model version in order; `refold` replaces the outcome of
windows that a late revision changed, and tells only what differs from what was told before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from mlhealth.alerts.context import NO_CIRCUMSTANCES, Circumstances, context_of
from mlhealth.alerts.expression import Scope
from mlhealth.alerts.notice import Notice, NoticeKind, fingerprint, notice_key
from mlhealth.alerts.retraining_policy import Fresh, latest_cause
from mlhealth.alerts.retraining_trigger import Trigger, request_of
from mlhealth.alerts.rules import Rule, RuleSet
from mlhealth.alerts.state import NEW, Observation, Phase, Transition, advance
from mlhealth.alerts.story import story_of
from mlhealth.clock import to_iso
from mlhealth.records import Alert, AlertState, Cause, RetrainingRequest, WindowReport


@dataclass(frozen=True)
class Memory:
    """What is remembered of one alert: its phase, the alert as last shown, whom it told, why it can't be told.

    `retraining` is the last decision's kind, `cause` the incident's as far as its windows could tell, `fresh`
    what came in since it began, `request` the retraining request that awaits approval.
    """

    phase: Phase
    alert: Alert
    receivers: tuple[str, ...] = ()
    note: str | None = None
    retraining: str | None = None
    cause: Cause | None = None
    fresh: Fresh = field(default_factory=Fresh)
    request: str | None = None


@dataclass(frozen=True)
class EngineState:
    """All that is remembered of one model version, its segments included; JSON-able.

    `alerts` by fingerprint. `asked`: event times at which each training service was asked for a retraining.
    """

    alerts: Mapping[str, Memory] = field(default_factory=dict)
    asked: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def to_data(self) -> dict[str, Any]:
        """Return the state as plain JSON data."""
        data: dict[str, Any] = _STATE.dump_python(self, mode="json")
        return data

    @classmethod
    def from_data(cls, data: object | None) -> EngineState:
        """Return the state of `to_data`; None is the state before the first window."""
        return cls() if data is None else _STATE.validate_python(data)


_STATE = TypeAdapter(EngineState)
_OPEN = (AlertState.PENDING, AlertState.FIRING)
START = EngineState()


@dataclass(frozen=True)
class Step:
    """What a report has done: the state to remember, and what to write beside it.

    `transitions`: alerts that changed state. `notices`: rows for the outbox. `requests`: retraining requests, made or
    refused. `notes`: rules that could not be judged, with the reason.
    """

    state: EngineState
    transitions: tuple[Alert, ...] = ()
    notices: tuple[Notice, ...] = ()
    requests: tuple[RetrainingRequest, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


def step(
    rules: RuleSet,
    report: WindowReport,
    previous: EngineState = START,
    circumstances: Circumstances = NO_CIRCUMSTANCES,
) -> Step:
    """Return what `report` does to the alerts of its model version and segment.

    Raises ConflictError where the report's window does not end after the last one of its segment.
    """
    turn = _Turn(report, context_of(report, circumstances), previous)
    for rule in rules.rules:
        if rule.applies(report.key.model, report.key.segment):
            turn.take(rule)
    turn.drop_removed(rules)
    return turn.result()


@dataclass(frozen=True)
class Told:
    """What a refolding begins with: the state `before` its first window, and the `latest`, whose notices went out.

    `circumstances` are those under which windows were judged, by their end.
    """

    before: EngineState
    latest: EngineState
    circumstances: Mapping[int, Circumstances] = field(default_factory=dict)


def refold(rules: RuleSet, reports: Sequence[WindowReport], past: Told) -> Step:
    """Return the outcome of `reports`, the first of them revised, folded from the state before its window.

    Alerts that fire in both the told and the new state, or in neither, notify nobody; retraining requests made before
    are not made again.
    """
    told, transitions, last, made = past.latest, list[Alert](), list[Notice](), list[RetrainingRequest]()
    state = past.before
    for report in reports:
        outcome = step(rules, report, state, past.circumstances.get(report.key.end, NO_CIRCUMSTANCES))
        state = outcome.state
        transitions += outcome.transitions
        last += outcome.notices
        made += outcome.requests
    start = reports[0].key.start
    again = {service for service, times in told.asked.items() if any(at >= start for at in times)}
    requests = tuple(request for request in made if request.service not in again)
    asked = dict(told.asked) | {s: times for s, times in state.asked.items() if s not in again}
    notices = _differences(reports, state, told, last)
    return Step(replace(state, asked=asked), tuple(transitions), notices, requests)


def _differences(
    reports: Sequence[WindowReport], now: EngineState, told: EngineState, notices: Sequence[Notice]
) -> tuple[Notice, ...]:
    out: list[Notice] = []
    first = reports[0]
    for mark in {*now.alerts, *told.alerts}:
        fires, fired = _fires(now, mark), _fires(told, mark)
        if fires and not fired:
            latest = [n for n in notices if n.alert.fingerprint == mark and n.kind is NoticeKind.FIRING]
            out += {notice.receiver: notice for notice in latest}.values()
        elif fired and not fires:
            memory = told.alerts[mark]
            seen = [r for r in reports if r.key.segment == memory.alert.segment]
            out += _notices(
                replace(memory, alert=_resolved(memory.alert, first)), (seen or reports)[-1], first
            )
    return tuple(out)


def _fires(state: EngineState, mark: str) -> bool:
    return mark in state.alerts and state.alerts[mark].alert.state is AlertState.FIRING


def _resolved(alert: Alert, report: WindowReport) -> Alert:
    return replace(alert, state=AlertState.RESOLVED, since=report.key.end)


class _Turn:
    """One report's way through the rules; collects what it does."""

    def __init__(self, report: WindowReport, context: dict[str, object], previous: EngineState) -> None:
        self._report = report
        self._context = context
        self._scope = Scope(context)
        self._alerts = dict(previous.alerts)
        self._asked = dict(previous.asked)
        self._transitions: list[Alert] = []
        self._notices: list[Notice] = []
        self._requests: list[RetrainingRequest] = []
        self._notes: dict[str, str] = {}

    def take(self, rule: Rule) -> None:
        """Judge the report by one rule."""
        key = self._report.key
        mark = fingerprint(rule.alert, key.model, key.version, key.segment)
        memory = self._alerts.get(mark)
        verdict = rule.when.evaluate(self._scope)
        seen = Observation(key.start, key.end, verdict.holds)
        phase, transition = advance(memory.phase if memory else NEW, seen, rule.hold)
        if verdict.note:
            self._notes[rule.alert] = verdict.note
        if memory is None or transition is not None:
            alert = _alert(rule, mark, self._report, phase, self._context)
            fresh = memory.fresh if memory else Fresh()
            memory = Memory(phase, _keep_identity(alert, memory), fresh=fresh)
        cause = latest_cause(self._report, memory.cause)
        fresh = memory.fresh.adding(self._report) if phase.state in _OPEN else Fresh()
        memory = replace(memory, phase=phase, receivers=tuple(rule.notify), note=verdict.note, cause=cause)
        memory = replace(memory, fresh=fresh)
        memory, done = self._consider_retraining(rule, memory)
        self._alerts[mark] = memory
        if transition is not None:
            self._tell(memory, transition, done)

    def drop_removed(self, rules: RuleSet) -> None:
        """Forget alerts whose rule is gone, telling those who were told that they fire."""
        key = self._report.key
        for mark, memory in list(self._alerts.items()):
            rule = rules.get(memory.alert.rule)
            if memory.alert.segment != key.segment or (rule and rule.applies(key.model, key.segment)):
                continue
            del self._alerts[mark]
            if memory.alert.state is AlertState.FIRING:
                gone = replace(memory, alert=_resolved(memory.alert, self._report))
                self._transitions.append(gone.alert)
                self._notices += _notices(gone, self._report, self._report, ("its rule was removed",))

    def result(self) -> Step:
        """Return everything the report did."""
        return Step(
            EngineState(self._alerts, self._asked),
            tuple(self._transitions),
            tuple(self._notices),
            tuple(self._requests),
            self._notes,
        )

    def _consider_retraining(self, rule: Rule, memory: Memory) -> tuple[Memory, tuple[str, ...]]:
        if (
            rule.retrain is None
            or memory.alert.state is not AlertState.FIRING
            or memory.retraining == "allowed"
        ):
            return memory, ()
        policy = rule.retrain.policy
        trigger = Trigger(memory.alert, memory.phase.run_start, self._report, memory.cause, memory.fresh)
        request, decision = request_of(trigger, policy, self._asked.get(policy.service, ()))
        if decision.kind == memory.retraining:
            return memory, ()
        self._requests.append(request)
        if decision.allowed:
            times = (*self._asked.get(policy.service, ()), self._report.key.end)
            self._asked[policy.service] = times
            asks = "waits for approval" if policy.approval else "requested"
            waits = request.id if policy.approval else None
            done = f"retraining {asks} from {policy.service}"
            return replace(memory, retraining=decision.kind, request=waits), (done,)
        refusal = f"retraining not requested: {decision.reason}"
        return replace(memory, retraining=decision.kind), (refusal,)

    def _tell(self, memory: Memory, transition: Transition, done: tuple[str, ...]) -> None:
        self._transitions.append(memory.alert)
        if AlertState.FIRING in (transition.before, transition.after):
            self._notices += _notices(memory, self._report, self._report, done)


def _alert(rule: Rule, mark: str, report: WindowReport, phase: Phase, context: dict[str, object]) -> Alert:
    key = report.key
    names = context | {
        "severity": rule.severity,
        "alertname": rule.alert,
        "since": phase.run_start or key.start,
    }
    labels = {name: template.render({**names, "labels": {}}) for name, template in rule.labels.items()}
    annotations = {name: t.render({**names, "labels": labels}) for name, t in rule.annotations.items()}
    return Alert(
        rule=rule.alert,
        model=key.model,
        version=key.version,
        segment=key.segment,
        state=phase.state,
        severity=rule.severity,
        since=phase.since,
        fired_at=phase.fired_at,
        labels=labels,
        annotations=annotations,
        fingerprint=mark,
    )


def _keep_identity(alert: Alert, before: Memory | None) -> Alert:
    """Let the end of an alert carry the labels and severity it was told under: receivers know it by them."""
    if before is None or alert.state is not AlertState.RESOLVED:
        return alert
    return replace(alert, labels=before.alert.labels, severity=before.alert.severity)


def _notices(
    memory: Memory, report: WindowReport, trigger: WindowReport, done: tuple[str, ...] = ()
) -> list[Notice]:
    """Return a notice for each receiver; `trigger` is the report whose (re)evaluation is the occasion."""
    alert = memory.alert
    kind = NoticeKind.FIRING if alert.state is AlertState.FIRING else NoticeKind.RESOLVED
    story = story_of(alert.rule, alert.state, report, done)
    return [
        Notice(
            notice_key(alert.fingerprint, kind, trigger.key.end, trigger.revision, receiver),
            receiver, kind, alert, report.key, story, _values(report), memory.request,
        )
        for receiver in memory.receivers
    ]  # fmt: skip


def _values(report: WindowReport) -> dict[str, float]:
    """Return the numbers that receivers may show or sort by."""
    values = {"rows": float(report.rows)}
    if report.health.score is not None:
        values["health_score"] = report.health.score
    for name, estimate in report.estimates.items():
        parts = {
            "": estimate.value,
            "_lower": estimate.lower,
            "_upper": estimate.upper,
            "_was": estimate.reference,
        }
        values |= {f"{name}{suffix}": value for suffix, value in parts.items() if value is not None}
    return values


def describe(alert: Alert) -> str:
    """Return an alert in one line."""
    where = f"{alert.model} {alert.version}{f' {alert.segment}' if alert.segment else ''}"
    return f"{where}: {alert.rule} {alert.state} since {to_iso(alert.since)}"
