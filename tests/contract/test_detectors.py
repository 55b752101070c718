"""What every detector promises, checked on all that reflection finds."""

from __future__ import annotations

import numpy as np
import pytest

from mlhealth.detectors import Panel
from mlhealth.detectors.base import Detector
from mlhealth.detectors.cells import CellLayout, Cells
from mlhealth.detectors.registry import detectors
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import DetectorResult
from tests.drift_builder import World, draw, shifted, world_of

EVERY = pytest.mark.parametrize("detector", detectors(), ids=lambda d: d.name)
WINDOWS = 60


@pytest.fixture(scope="module")
def world() -> World:
    """A reference of 4,000 rows with columns of every awkward kind."""
    return world_of(draw(4_000, np.random.default_rng(3)))


@pytest.fixture(scope="module")
def calm(world: World) -> list[tuple[DetectorResult, ...]]:
    """What the panel says of 60 windows of 500 rows in which nothing has drifted."""
    panel = Panel(world.baseline)
    rngs = [np.random.default_rng(seed) for seed in range(100, 100 + WINDOWS)]
    return [panel.run(world.window(draw(500, rng), seed)) for seed, rng in enumerate(rngs)]


def _statistic(detector: Detector, reference: WindowProfile, window: WindowProfile) -> np.ndarray:
    layout = CellLayout.of(reference)
    return detector.statistic(Cells.of(reference, layout), Cells.of(window, layout))


@EVERY
def test_no_alarm_without_drift(detector: Detector, calm: list[tuple[DetectorResult, ...]]) -> None:
    """Where nothing has drifted, about 1 % of windows at most have any column called drifted."""
    alarms = [any(r.drifted for r in results if r.detector == detector.name) for results in calm]
    assert sum(alarms) <= 3


@EVERY
def test_p_values_are_honest(detector: Detector, calm: list[tuple[DetectorResult, ...]]) -> None:
    """Without drift a p-value of at most 0.05 comes up in about 5 % of tests, never in more than 12 %."""
    p = [r.p_value for results in calm for r in results if r.detector == detector.name]
    assert np.mean([value is not None and value <= 0.05 for value in p]) <= 0.12


@EVERY
def test_alarm_on_a_large_shift(detector: Detector, world: World) -> None:
    """Where every column has changed beyond doubt, the detector sees at least one of those it judges."""
    results = Panel(world.baseline).run(world.window(shifted(500, np.random.default_rng(5))))
    own = [r for r in results if r.detector == detector.name]
    assert any(r.drifted for r in own)
    for result in own:
        if result.statistic is not None and result.threshold is not None:
            assert result.drifted == (result.statistic > result.threshold)


@EVERY
@pytest.mark.parametrize("value", [np.nan, 3.25, np.inf], ids=["all missing", "constant", "infinite"])
def test_awkward_columns_are_answered(detector: Detector, value: float) -> None:
    """A column that is constant, infinite or missing throughout, in reference or window, raises nothing."""
    rng = np.random.default_rng(2)
    columns = draw(600, rng)
    awkward = {**columns, "smooth": np.full(600, value)}
    for reference, window in ((awkward, columns), (columns, awkward), (awkward, awkward)):
        there = world_of(reference)
        results = Panel(there.baseline).run(there.window(window))
        assert all(
            r.statistic is None or (np.isfinite(r.statistic) and r.statistic >= 0.0)
            for r in results
            if r.detector == detector.name
        )


@EVERY
def test_empty_window_is_answered(detector: Detector, world: World) -> None:
    """An empty window has no statistic, no alarm, and a note that says why."""
    panel = Panel(world.baseline)
    results = [
        r for r in panel.run(WindowProfile.empty(world.baseline.layout)) if r.detector == detector.name
    ]
    assert results
    assert all(r.statistic is None and not r.drifted and r.note for r in results)


@EVERY
def test_row_order_is_irrelevant(detector: Detector, world: World) -> None:
    """The same rows in another order give the same statistics, to the last bit."""
    rng = np.random.default_rng(8)
    columns = draw(400, rng)
    order = rng.permutation(400)
    mixed = {name: values[order] for name, values in columns.items()}
    reference = world.baseline.reference
    names = len(world.baseline.schema.features)
    a = _statistic(detector, reference, world.window(columns))[:names]
    b = _statistic(detector, reference, world.window(mixed))[:names]
    np.testing.assert_array_equal(a, b)


@EVERY
def test_merged_windows_are_as_one(detector: Detector, world: World) -> None:
    """The statistic of two merged profiles is that of all rows at once, to the last bit."""
    columns = draw(400, np.random.default_rng(9))
    whole = world.window(columns)
    parts = [
        world.window({n: v[:150] for n, v in columns.items()}),
        world.window({n: v[150:] for n, v in columns.items()}),
    ]
    names = len(world.baseline.schema.features)
    reference = world.baseline.reference
    a = _statistic(detector, reference, whole)[:names]
    b = _statistic(detector, reference, parts[0].merge(parts[1]))[:names]
    np.testing.assert_array_equal(a, b)


@EVERY
def test_the_reference_is_like_itself(detector: Detector, world: World) -> None:
    """The reference compared with itself has a statistic of 0 (but for rounding) in every column."""
    reference = world.baseline.reference
    found = _statistic(detector, reference, reference)
    assert (
        np.nanmax(found[: len(world.baseline.layout.columns)]) < 1e-6 or detector.name == "unseen_categories"
    )


@EVERY
def test_many_windows_are_as_each_alone(detector: Detector, world: World) -> None:
    """Statistics of windows stacked along a leading axis equal those of each window alone."""
    layout = CellLayout.of(world.baseline.reference)
    reference = Cells.of(world.baseline.reference, layout)
    windows = [Cells.of(world.window(draw(200, np.random.default_rng(s))), layout) for s in range(3)]
    stacked = Cells(
        layout,
        np.stack([w.counts for w in windows]),
        np.stack([w.missing for w in windows]),
        np.stack([w.non_finite for w in windows]),
    )
    together = detector.statistic(reference, stacked)
    for i, window in enumerate(windows):
        np.testing.assert_allclose(together[i], detector.statistic(reference, window), rtol=1e-9, atol=1e-12)


def test_names_are_unique_and_snake_case() -> None:
    """Every detector has a name of its own, as users write it, and is found by reflection."""
    names = [d.name for d in detectors()]
    assert len(set(names)) == len(names) >= 15
    assert all(name.isidentifier() and name == name.lower() for name in names)
