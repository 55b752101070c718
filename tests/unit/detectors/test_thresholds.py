"""Thresholds: interpolation between window sizes, p-values, false discovery control, pinned ones."""

from __future__ import annotations

import numpy as np
import pytest

from mlhealth.detectors import Panel
from mlhealth.detectors.nulls import LEVELS, tail_quantiles
from mlhealth.detectors.thresholds import (
    Constant,
    NullTable,
    Quantile,
    Sigmas,
    critical_values,
    false_discovery_cutoff,
    p_values,
)
from tests.drift_builder import draw, world_of

QUANTILES = np.quantile(np.random.default_rng(0).exponential(1.0, 400_000), LEVELS)


@pytest.mark.parametrize("p", [0.5, 0.1, 0.02, 0.001, 1e-5])
def test_p_value_and_critical_value_are_inverse(p: float) -> None:
    """The statistic at which p is reached has p as its p-value, beyond the last level too."""
    value = critical_values(np.array([p]), QUANTILES[None], LEVELS)
    assert p_values(value, QUANTILES[None], LEVELS)[0] == pytest.approx(p, rel=1e-6)


def test_tail_of_few_draws_reaches_far() -> None:
    """From 200 exponential draws the 0.9999 quantile is found within a third, and not too low."""
    found = [
        tail_quantiles(np.random.default_rng(s).exponential(1.0, (200, 1)), LEVELS)[0, -1] for s in range(40)
    ]
    exact = -np.log(1e-4)
    assert exact * 0.95 < np.mean(found) < exact * 1.35


def test_rates_that_are_mostly_zero_keep_a_tail() -> None:
    """A statistic that is 0 in 99 of 100 draws still has a threshold above its one rare value."""
    draws = np.zeros((200, 1))
    draws[::100] = 0.02
    assert tail_quantiles(draws, LEVELS)[0, -1] > 0.02


def test_thresholds_grow_as_windows_shrink() -> None:
    """Between calibrated sizes thresholds are interpolated; below the smallest they widen faster, above they stay."""
    rows = np.array([100, 400, 1600])
    quantiles = (1.0 / np.sqrt(rows))[None, None, :, None] * np.ones((1, 1, 1, len(LEVELS)))
    table = NullTable(rows, LEVELS, quantiles, 10**9)
    found = [float(table.at(np.array([[float(n)]]))[0, 0, 0]) for n in (25, 100, 200, 400, 10**6)]
    assert found[1] == pytest.approx(0.1)
    assert found[2] == pytest.approx(1 / np.sqrt(200), rel=1e-3)
    assert found[0] == pytest.approx(0.4)
    assert found[4] == pytest.approx(0.025)


def test_false_discoveries_are_controlled_over_columns() -> None:
    """One p-value of 0.03 is nothing among 50 columns; among many small ones it counts; NaN is no test."""
    alone = np.full((1, 50), 0.8)
    alone[0, 0] = 0.03
    assert false_discovery_cutoff(alone, 0.05)[0, 0] == pytest.approx(0.001)
    crowd = np.full((1, 50), 0.03)
    assert false_discovery_cutoff(crowd, 0.05)[0, 0] == pytest.approx(0.05)
    assert false_discovery_cutoff(np.array([[0.03, np.nan, np.nan]]), 0.05)[0, 0] == pytest.approx(0.05)


def test_a_person_may_pin_thresholds() -> None:
    """A constant, k sigma or a quantile replaces the fitted threshold, for one column or for all of a detector."""
    world = world_of(draw(2_000, np.random.default_rng(1)))
    pinned = {
        ("jensen_shannon", "smooth"): Constant(0.1),
        ("kolmogorov_smirnov", ""): Sigmas(3.0),
        ("chi_squared", "few"): Quantile(0.95),
    }
    window = world.window(draw(500, np.random.default_rng(2)))
    results = {(r.detector, r.feature): r for r in Panel(world.baseline, pinned).run(window)}
    fitted = {(r.detector, r.feature): r for r in Panel(world.baseline).run(window)}
    assert results["jensen_shannon", "smooth"].threshold == 0.1
    assert results["jensen_shannon", "few"].threshold == fitted["jensen_shannon", "few"].threshold
    strict = fitted["kolmogorov_smirnov", "smooth"].threshold
    loose = results["kolmogorov_smirnov", "smooth"].threshold
    assert strict is not None
    assert loose is not None
    assert 0.0 < loose < strict
    assert results["chi_squared", "few"].threshold < fitted["chi_squared", "few"].threshold  # type: ignore[operator]


def test_a_tiny_window_is_judged_conservatively() -> None:
    """Below 20 values there is a statistic but no verdict, and the note says how many are needed."""
    world = world_of(draw(2_000, np.random.default_rng(1)))
    columns = {name: values[:10] for name, values in draw(100, np.random.default_rng(2)).items()}
    columns["smooth"] = columns["smooth"] + 100.0
    results = Panel(world.baseline).run(world.window(columns))
    smooth = next(r for r in results if (r.detector, r.feature) == ("kolmogorov_smirnov", "smooth"))
    assert smooth.statistic == pytest.approx(1.0)
    assert not smooth.drifted
    assert "too few" in (smooth.note or "")


def test_a_wandering_reference_widens_its_own_null() -> None:
    """Where the reference's own windows wander, replaying them in order keeps the same wandering from alarming."""
    rng = np.random.default_rng(4)
    level = np.repeat(rng.normal(0.0, 0.5, 40), 100)
    columns = draw(4_000, rng)
    columns["smooth"] = columns["smooth"] + level
    window = draw(1_000, rng)
    window["smooth"] = window["smooth"] + np.repeat(rng.normal(0.0, 0.5, 10), 100)
    alarms = {}
    for in_order in (False, True):
        world = world_of(columns, in_order=in_order)
        results = Panel(world.baseline).run(world.window(window))
        named = {(r.detector, r.feature): r for r in results}
        alarms[in_order] = named["kolmogorov_smirnov", "smooth"].threshold
    assert alarms[True] > 1.5 * alarms[False]  # type: ignore[operator]
