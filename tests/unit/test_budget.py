"""The false-alarm budget: false pages stay within it, harm pages soon, and the state goes on as it should."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mlhealth.baseline.record import Null
from mlhealth.budget.cost import cost, soon
from mlhealth.budget.evidence import (
    AlarmBudget,
    BudgetLimits,
    BudgetState,
    Ledger,
    Spread,
    Tally,
    gain,
    judge,
)
from mlhealth.budget.limits import SURE_FREEDOM
from mlhealth.budget.residuals import LEVELS, dependence
from mlhealth.clock import DAY, HOUR
from mlhealth.objective import Objective
from mlhealth.records import (
    EstimateStatus,
    FeatureQuality,
    HealthScore,
    HealthStatus,
    PerformanceEstimate,
    WindowKey,
    WindowReport,
)

OBJECTIVE = Objective("accuracy", 0.05)
LIMIT = float(np.log(2160.0))
WORD = Spread((250,), (0.0,), (1.0,), (0.018,), SURE_FREEDOM)
"""A spread that takes intervals at their word."""
LIMITS = BudgetLimits(OBJECTIVE, LIMIT, reference_error=0.004, spread=WORD)
GONE = FeatureQuality(1.0, 0.0, 0.0, 0.0, ("all missing",))


def report(
    value: float | None, *, half: float = 0.03, segment: str = "", broken: bool = False
) -> WindowReport:
    """Return the report of a window of 500 rows whose accuracy is estimated as `value`; the reference is 0.88."""
    status = EstimateStatus.NOT_IDENTIFIABLE if value is None else EstimateStatus.OK
    lower, upper = (None, None) if value is None else (value - half, value + half)
    estimate = PerformanceEstimate("accuracy", value, lower, upper, status, "mpp", 0.88)
    quality = {"income": GONE} if broken else {}
    health = HealthScore(None, HealthStatus.UNKNOWN, "accuracy", 0.05)
    key = WindowKey("m", "1", segment, 0, HOUR)
    return WindowReport(key, 0, "b", 500, {"accuracy": estimate}, health, {}, quality=quality)


def statuses(values: Sequence[float | None], limits: BudgetLimits = LIMITS) -> list[HealthStatus]:
    """Return the status of each window of a series of estimates."""
    state, found = BudgetState(), []
    for value in values:
        judged, state = judge(report(value), limits, state)
        found.append(judged.health.status)
    return found


def pages(losses: np.ndarray, deviation: float, limits: BudgetLimits) -> int:
    """Return how many pages a series of estimated losses opens."""
    total, incident, opened = 0.0, False, 0
    for loss in losses:
        total = min(max(total + gain(float(loss), deviation, 500, limits), 0.0), limits.limit)
        if not incident and total >= limits.limit:
            opened, incident = opened + 1, True
        incident = incident and total > 0.0
    return opened


@pytest.mark.parametrize("tails", ["normal", "heavy"])
def test_false_pages_stay_within_the_budget(tails: str) -> None:
    """Where nothing is lost, ten times the budget's period brings at most 1.2 pages per period."""
    rng = np.random.default_rng(0)
    deviation = 0.03 / 1.645
    noise = rng.normal(size=21_600) if tails == "normal" else rng.standard_t(5.0, 21_600)
    limits = replace(LIMITS, spread=Spread((500,), (0.0,), (1.0,), (deviation,), 5.0))
    assert pages(noise * deviation, deviation, limits) <= 12


def test_windows_that_err_alike_stay_within_the_budget() -> None:
    """Autocorrelated estimates, with their spread widened as the bootstrap measures it, stay within the budget."""
    rng = np.random.default_rng(1)
    noise = np.zeros(21_600)
    for i in range(1, len(noise)):
        noise[i] = 0.5 * noise[i - 1] + rng.normal() * np.sqrt(0.75)
    widened = dependence(noise[:40], rng)
    assert widened > 1.2
    deviation = 0.02
    limits = replace(LIMITS, spread=Spread((500,), (0.0,), (widened,), (deviation,), 5.0))
    assert pages(noise * deviation, deviation, limits) <= 12


def test_a_large_drop_pages_in_two_windows_and_not_in_one() -> None:
    """One bad window never pages; the second in a row does."""
    found = statuses([0.88, 0.70, 0.70, 0.70])
    assert found == [
        HealthStatus.HEALTHY,
        HealthStatus.DEGRADED,
        HealthStatus.CRITICAL,
        HealthStatus.CRITICAL,
    ]
    assert HealthStatus.CRITICAL not in statuses([0.88, 0.60, 0.88, 0.88, 0.60, 0.88])


def test_a_small_drop_builds_up() -> None:
    """Five points lost in every window page within a day of hourly windows, though no window alone would."""
    found = statuses([0.83] * 24)
    assert HealthStatus.CRITICAL in found
    assert found[0] is not HealthStatus.CRITICAL


def test_a_harmless_loss_never_pages() -> None:
    """Two points lost for a month are not worth a page."""
    assert set(statuses([0.86] * 720)) == {HealthStatus.HEALTHY}


def test_recovery_resolves() -> None:
    """A page ends once the evidence has been taken back, within a few calm windows."""
    found = statuses([0.70] * 4 + [0.88] * 4)
    assert found[3] is HealthStatus.CRITICAL
    assert found[-1] is HealthStatus.HEALTHY
    judged, after = judge(report(0.88), LIMITS, BudgetState(Tally(LIMIT, incident=True), windows=9))
    assert after.primary.incident
    assert "stays open" in judged.health.reasons[1].text


def test_silence_neither_pages_nor_resolves() -> None:
    """A window of which nothing can be said leaves the evidence as it stands."""
    state = BudgetState(Tally(3.0, incident=True), windows=5)
    judged, after = judge(report(None), LIMITS, state)
    assert (after.primary, after.windows) == (Tally(3.0, incident=True), 6)
    assert judged.health.score is None


def test_an_empty_window_says_so() -> None:
    """A judged window without rows still begins its reasons with that no events came."""
    judged, _ = judge(replace(report(None), rows=0), LIMITS, BudgetState())
    assert judged.health.reasons[0].text == "no events came in this window"


def test_broken_input_with_harm_pages_at_once() -> None:
    """Where a column has vanished and harm is likely, the page does not wait, and is counted apart."""
    judged, _ = judge(report(0.70, broken=True), LIMITS, BudgetState())
    assert judged.health.status is HealthStatus.CRITICAL
    assert judged.health.parts["input_fault"] == 1.0


def test_learning_windows_say_what_they_would_have_done() -> None:
    """While a model is new nothing pages, and the reasons say that it would have."""
    limits = replace(LIMITS, learning=10)
    _, state = judge(report(0.70), limits, BudgetState())
    judged, _ = judge(report(0.70), limits, state)
    assert judged.health.status is HealthStatus.DEGRADED
    assert "would have paged" in judged.health.reasons[1].text


def test_judging_twice_changes_nothing() -> None:
    """A judged report judged again from the same state gives the same report and state."""
    once, after = judge(report(0.70), LIMITS, BudgetState(Tally(5.0)))
    assert judge(once, LIMITS, BudgetState(Tally(5.0))) == (once, after)


def test_states_survive_json() -> None:
    """A ledger comes back from JSON as it was; None is an empty one."""
    _, ledger = Ledger().judge(report(0.7), LIMITS)
    _, ledger = ledger.judge(report(0.8, segment="region=eu"), LIMITS)
    assert Ledger.from_data(json.loads(json.dumps(ledger.to_data()))) == ledger
    assert set(ledger.states) == {"", "region=eu"}
    assert Ledger.from_data(None) == Ledger()


def test_the_budget_sets_the_limit() -> None:
    """Half the budget, or twice the segments, asks for ln 2 more evidence; an absurd budget is read as sparing."""
    base = limit_of(AlarmBudget(1.0, 90 * DAY))
    assert base == pytest.approx(np.log(2160.0))
    assert limit_of(AlarmBudget(0.5, 90 * DAY)) - base == pytest.approx(np.log(2.0))
    assert limit_of(AlarmBudget(1.0, 90 * DAY), segments=2) - base == pytest.approx(np.log(2.0))
    assert limit_of(AlarmBudget(1000.0, DAY)) == pytest.approx(np.log(3.0))


def limit_of(budget: AlarmBudget, segments: int = 1) -> float:
    """Return the limit of a budget for hourly windows."""
    return budget.limit(HOUR, segments)


def test_the_cost_of_a_budget_is_told() -> None:
    """Larger drops are found sooner; what lies below half the tolerance is not found at all."""
    limits = replace(LIMITS, spread=Spread((500,), (0.0,), (0.6,), (0.02,), 5.0))
    times = [soon(drop, 500, limits) for drop in (0.15, 0.07, 0.05)]
    assert times[0] == 2
    assert all(t is not None for t in times)
    assert times == sorted(times)  # type: ignore[type-var]
    assert soon(0.02, 500, limits) is None
    told = cost(500, limits)
    assert [one.loss for one in told] == sorted((one.loss for one in told), reverse=True)
    assert [told[0].loss, told[-1].loss] == pytest.approx([0.15, 0.02])
    assert [told[0].windows, told[-1].windows] == [times[0], None]
    assert cost(500, replace(limits, spread=None)) == ()


def test_spread_is_never_trusted_below_a_floor() -> None:
    """Reference windows that hardly vary do not make the budget credulous; a biased estimator is forgiven."""
    rows = np.array([250])
    residuals = Null(rows, LEVELS, np.array([[0.09, 0.1, 0.1, 0.1, 0.11, 0.12]]))
    deviations = Null(rows, LEVELS, np.full((1, len(LEVELS)), 0.02))
    spread = Spread.of(residuals, deviations)
    assert spread.at(1_000) == pytest.approx((0.1, 0.3, 0.02))


def test_reasons_say_since_when_a_column_has_been_at_fault() -> None:
    """The onset is that of the present run of windows at fault, told as a clock time on the same day."""
    day, state, told = 20_000 * DAY, BudgetState(), []
    for hour, broken in enumerate((True, False, True, True)):
        window = report(0.7, broken=broken)
        key = replace(window.key, start=day + hour * HOUR, end=day + (hour + 1) * HOUR)
        judged, state = judge(replace(window, key=key), LIMITS, state)
        told.append(judged.health.reasons[0].text)
    assert [text.partition(";")[0] for text in told] == [
        "income is missing in every row since 00:00",
        "accuracy now about 0.70 ± 0.03, was 0.88",
        "income is missing in every row since 02:00",
        "income is missing in every row since 02:00",
    ]
    assert BudgetState.from_data(json.loads(json.dumps(state.to_data()))) == state
