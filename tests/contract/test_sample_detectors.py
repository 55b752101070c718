"""What every multivariate detector promises, checked on all that reflection finds."""

from __future__ import annotations

import numpy as np
import pytest

from mlhealth.detectors import multivariate
from mlhealth.detectors.registry import sample_detectors
from mlhealth.detectors.sample_base import SampleDetector
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import DetectorResult
from tests.drift_builder import Column, World, draw, world_of

EVERY = pytest.mark.parametrize("detector", sample_detectors(), ids=lambda d: d.name)
WINDOWS = 30


def rows_of(rows: int, rng: np.random.Generator, *, together: float = 0.9) -> dict[str, Column]:
    """Return columns of which four go together as closely as said; each by itself is standard normal."""
    common = rng.normal(size=(rows, 1))
    four = together * common + np.sqrt(1.0 - together**2) * rng.normal(size=(rows, 4))
    return {**draw(rows, rng), **{f"x{i}": four[:, i] for i in range(4)}}


@pytest.fixture(scope="module")
def world() -> World:
    """A reference of 3,000 rows."""
    return world_of(rows_of(3_000, np.random.default_rng(3)))


def answer(detector: SampleDetector, world: World, window: WindowProfile, seed: int = 0) -> DetectorResult:
    """Return one detector's answer."""
    (result,) = multivariate(window, world.baseline.reference, seed=seed, names=[detector.name])
    return result


@EVERY
def test_no_alarm_without_drift(detector: SampleDetector, world: World) -> None:
    """Of 30 windows in which nothing has drifted, at most two are called drifted (the level is 1 %)."""
    windows = [world.window(rows_of(400, np.random.default_rng(100 + s)), s) for s in range(WINDOWS)]
    assert sum(answer(detector, world, w).drifted for w in windows) <= 2


@EVERY
def test_alarm_where_columns_no_longer_go_together(detector: SampleDetector, world: World) -> None:
    """Columns that were joined to other rows are seen, although each by itself is as ever."""
    columns = rows_of(1_000, np.random.default_rng(8), together=0.0)
    assert answer(detector, world, world.window(columns)).drifted


@EVERY
def test_awkward_samples_are_answered(detector: SampleDetector, world: World) -> None:
    """Constant and missing columns raise nothing; tiny and empty windows are not judged, and say why."""
    columns = rows_of(200, np.random.default_rng(5))
    columns |= {"smooth": np.full(200, np.nan), "few": np.full(200, 3.0), "x0": np.full(200, np.inf)}
    assert np.isfinite(answer(detector, world, world.window(columns)).statistic or 0.0)
    tiny = world.window({name: values[:10] for name, values in columns.items()})
    for window in (tiny, WindowProfile.empty(world.baseline.layout)):
        found = answer(detector, world, window)
        assert found.statistic is None
        assert not found.drifted
        assert "too few" in (found.note or "")


@EVERY
def test_answers_are_reproducible(detector: SampleDetector, world: World) -> None:
    """The same samples and seed give the same answer, to the last bit."""
    window = world.window(rows_of(300, np.random.default_rng(6)))
    assert answer(detector, world, window, 4) == answer(detector, world, window, 4)
