"""What shows only from window to window: creeping columns, jumps, and traffic that dries up."""

from __future__ import annotations

import json

import numpy as np

from mlhealth.objective import Objective
from mlhealth.records import (
    DetectorResult,
    EstimateStatus,
    HealthScore,
    HealthStatus,
    PerformanceEstimate,
    WindowKey,
    WindowReport,
)
from mlhealth.series import SeriesState, watch

OBJECTIVE = Objective("accuracy", 0.05)


def report(p: float, *, rows: int = 500, value: float = 0.9) -> WindowReport:
    """Return a window whose one column drifted with p-value `p`."""
    drift = {"income": DetectorResult("jensen_shannon", "income", 0.1, 0.2, drifted=False, p_value=p)}
    estimate = PerformanceEstimate(
        "accuracy", value, value - 0.02, value + 0.02, EstimateStatus.OK, "mpp", 0.9
    )
    health = HealthScore(None, HealthStatus.UNKNOWN, "accuracy", 0.05)
    key = WindowKey("m", "1", "", 0, 3_600_000_000)
    return WindowReport(key, 0, "b", rows, {"accuracy": estimate}, health, drift)


def drifted(windows: list[WindowReport]) -> list[set[str]]:
    """Return which series detectors speak at each window."""
    state, found = SeriesState(), []
    for window in windows:
        results, state = watch(window, state, OBJECTIVE)
        found.append({r.detector for r in results if r.drifted})
    return found


def test_a_slow_drift_adds_up() -> None:
    """A column whose drift is never significant in one window is seen after some of them, and only then."""
    rng = np.random.default_rng(0)
    calm = [report(float(p)) for p in rng.uniform(0.001, 1.0, 400)]
    assert not any("page_hinkley" in said for said in drifted(calm))
    creeping = drifted([report(0.04)] * 12)
    assert "page_hinkley" not in creeping[0]
    assert "page_hinkley" in creeping[-1]


def test_a_jump_of_the_estimate_is_seen_once() -> None:
    """ADWIN speaks when the series of estimates jumps, and not while it stays."""
    rng = np.random.default_rng(1)
    values = [*(0.9 + 0.005 * rng.normal(size=40)), *(0.78 + 0.005 * rng.normal(size=100))]
    said = drifted([report(0.5, value=float(v)) for v in values])
    spoken = [i for i, found in enumerate(said) if "adwin" in found]
    assert spoken
    assert all(i >= 40 for i in spoken)


def test_traffic_that_dries_up_is_a_fault() -> None:
    """Far fewer or more rows than in any window before are told; the rhythm of the day is not."""
    day = [200 + 150 * (hour % 24 > 7) for hour in range(48)]
    windows = [report(0.5, rows=n) for n in day]
    assert not any("volume" in said for said in drifted(windows))
    assert "volume" in drifted([*windows, report(0.5, rows=9)])[-1]
    assert "volume" in drifted([*windows, report(0.5, rows=9_000)])[-1]


def test_the_state_survives_json() -> None:
    """The series' state comes back from JSON as it was."""
    _, state = watch(report(0.01), SeriesState(), OBJECTIVE)
    assert SeriesState.from_data(json.loads(json.dumps(state.to_data()))) == state
    assert SeriesState.from_data(None) == SeriesState()
