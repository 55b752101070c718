"""Tests of rules, as files: windows are given, alerts are expected (what promtool does for Prometheus).

Each window starts from a calm one of 2,000 rows and changes what it names; `repeat` says how often it comes. After a
window, exactly the named alerts fire or are pending; texts and retraining are checked where they are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field

from mlhealth.alerts.context import Circumstances, example_report
from mlhealth.alerts.engine import START, EngineState, Step, step
from mlhealth.alerts.rules import Known, RuleSet, load_rules
from mlhealth.config.strict_model import Duration, Strict
from mlhealth.config.strict_yaml import read, validated
from mlhealth.errors import ConfigError
from mlhealth.records import (
    AlertState,
    Cause,
    DetectorResult,
    EstimateStatus,
    FeatureQuality,
    HealthScore,
    HealthStatus,
    PerformanceEstimate,
    Reason,
    RetrainingStatus,
    WindowReport,
)


class GivenHealth(Strict):
    """What a window's health is; None leaves the calm value."""

    status: HealthStatus | None = None
    score: float | None = None
    cause: Cause | None = None
    reasons: tuple[str, ...] | None = None
    metric: str | None = None


class GivenEstimate(Strict):
    """What a metric is estimated to be."""

    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    reference: float | None = None
    status: EstimateStatus = EstimateStatus.OK


class GivenDrift(Strict):
    """What a drift detector says of a feature."""

    statistic: float | None = None
    threshold: float | None = None
    drifted: bool = False


class GivenQuality(Strict):
    """What was wrong with a feature, as fractions of rows."""

    missing: float = 0.0
    unseen: float = 0.0
    out_of_range: float = 0.0
    non_finite: float = 0.0


class GivenWindow(Strict):
    """How a window differs from a calm one."""

    repeat: Annotated[int, Field(ge=1, le=10_000)] = 1
    rows: Annotated[int, Field(ge=0)] = 2000
    health: GivenHealth = GivenHealth()
    estimates: Mapping[str, GivenEstimate] = {}
    drift: Mapping[str, GivenDrift] = {}
    quality: Mapping[str, GivenQuality] = {}
    realized: Mapping[str, float] = {}
    record: Mapping[str, Mapping[str, float]] = {}
    lag_seconds: float | None = None


class Expected(Strict):
    """What holds after the `after`-th window, counted from 1."""

    after: Annotated[int, Field(ge=1)]
    firing: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    annotations: Mapping[str, Mapping[str, str]] = {}
    retrain: Mapping[str, RetrainingStatus] = {}


class Story(Strict):
    """One test: windows in order, and what is expected after some of them."""

    name: str
    model: str = "loan-default"
    version: str = "3"
    segment: str = ""
    window: Duration = 3_600_000_000
    windows: Annotated[tuple[GivenWindow, ...], Field(min_length=1)]
    expect: Annotated[tuple[Expected, ...], Field(min_length=1)]


class RuleTestFile(Strict):
    """A file of tests; the rules' paths are relative to it."""

    rules: Annotated[tuple[str, ...], Field(min_length=1)]
    tests: Annotated[tuple[Story, ...], Field(min_length=1)]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a file of tests."""
    schema = RuleTestFile.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "mlhealth rule tests",
    }


@dataclass(frozen=True)
class Failure:
    """One expectation that was not met."""

    test: str
    after: int
    message: str


def run(path: Path) -> tuple[int, list[Failure]]:
    """Run a file's tests; return how many there were, and what failed. Raises ConfigError where the file is wrong."""
    document = read(path)
    file = validated(document, RuleTestFile)
    rules = load_rules([path.parent / rule for rule in file.rules], Known())
    failures = [failure for story in file.tests for failure in check(story, rules)]
    return len(file.tests), failures


def check(story: Story, rules: RuleSet) -> Iterator[Failure]:
    """Yield the expectations of one test that are not met."""
    steps = list(_play(story, rules))
    for expected in story.expect:
        if expected.after > len(steps):
            raise ConfigError(
                f"test {story.name}: after {expected.after}, but there are {len(steps)} windows"
            )
        for message in _differences(expected, steps[expected.after - 1]):
            yield Failure(story.name, expected.after, message)


def _play(story: Story, rules: RuleSet) -> Iterator[Step]:
    state: EngineState = START
    n = 0
    for given in story.windows:
        for _ in range(given.repeat):
            done = step(
                rules,
                _report(story, given, n),
                state,
                Circumstances(lag_seconds=given.lag_seconds, record=given.record),
            )
            yield done
            state, n = done.state, n + 1


def _differences(expected: Expected, done: Step) -> Iterator[str]:
    alerts = {memory.alert.rule: memory.alert for memory in done.state.alerts.values()}
    for state, wanted in ((AlertState.FIRING, expected.firing), (AlertState.PENDING, expected.pending)):
        have = {rule for rule, alert in alerts.items() if alert.state is state}
        if have != set(wanted):
            yield f"{state}: expected {_names(wanted)}, got {_names(have)}"
    for rule, texts in expected.annotations.items():
        given = alerts[rule].annotations if rule in alerts else {}
        for name, text in texts.items():
            if given.get(name) != text:
                yield f"{rule}: annotation {name}: expected {text!r}, got {given.get(name)!r}"
    asked = {request.service: request for request in done.requests}
    for service, status in expected.retrain.items():
        if service not in asked or asked[service].status is not status:
            found = asked[service].status if service in asked else "no request"
            yield f"retrain {service}: expected {status}, got {found}"


def _names(names: set[str] | tuple[str, ...]) -> str:
    return ", ".join(sorted(names)) or "none"


def _report(story: Story, given: GivenWindow, n: int) -> WindowReport:
    calm = example_report(metrics=("accuracy",), features=())
    start = calm.key.start + n * story.window
    key = replace(
        calm.key,
        model=story.model,
        version=story.version,
        segment=story.segment,
        start=start,
        end=start + story.window,
    )
    estimates = {
        "accuracy": PerformanceEstimate("accuracy", 0.87, 0.86, 0.88, EstimateStatus.OK, "given", 0.871)
    }
    for name, e in given.estimates.items():
        before = estimates.get(name) or PerformanceEstimate(name, None, None, None, e.status, "given", None)
        estimates[name] = _with(before, e)
    return replace(
        calm,
        key=key,
        rows=given.rows,
        estimates=estimates,
        health=_health(given.health),
        drift={
            name: DetectorResult("given", name, d.statistic, d.threshold, d.drifted)
            for name, d in given.drift.items()
        },
        quality={
            name: FeatureQuality(q.missing, q.unseen, q.out_of_range, q.non_finite)
            for name, q in given.quality.items()
        },
        realized=dict(given.realized),
    )


_SCORES = {
    HealthStatus.HEALTHY: 97.0,
    HealthStatus.DEGRADED: 60.0,
    HealthStatus.CRITICAL: 3.0,
    HealthStatus.UNKNOWN: None,
}


def _health(given: GivenHealth) -> HealthScore:
    status = given.status or HealthStatus.HEALTHY
    reasons = tuple(Reason(text) for text in given.reasons or ())
    score = given.score if given.score is not None else _SCORES[status]
    return HealthScore(score, status, given.metric or "accuracy", 0.05, given.cause, reasons)


Record = TypeVar("Record", bound=PerformanceEstimate)


def _with(record: Record, given: Strict) -> Record:
    changes: dict[str, Any] = {name: getattr(given, name) for name in given.model_fields_set}
    return replace(record, **changes)
