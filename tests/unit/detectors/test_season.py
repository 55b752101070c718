"""Drift judged against the same hour or weekday of the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from mlhealth.clock import DAY, HOUR
from mlhealth.detectors import Panel, Season, SeasonalPanel, main_drift
from mlhealth.errors import ConfigError
from mlhealth.events.batch import TIME, EventBatch
from mlhealth.profile.window_profile import WindowProfile
from tests.drift_builder import World, batch_of, world_of

ROWS = 12_000


@pytest.fixture(scope="module")
def world() -> World:
    """A reference of three weeks in which `load` follows the hour of the day."""
    rng = np.random.default_rng(0)
    times = np.sort(rng.integers(0, 21 * DAY, ROWS))
    made = world_of({"load": _load(times, rng)})
    rows = made.baseline.rows.set_column(1, TIME, pa.array(times))
    schema = replace(made.baseline.schema, timestamp="ts")
    return World(replace(made.baseline, rows=rows, schema=schema))


def _load(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(np.sin(2.0 * np.pi * times / DAY) * 3.0 + rng.normal(size=len(times)))


def window(world: World, hour: int, shift: float = 0.0) -> WindowProfile:
    """Return an hourly window of 400 rows that follows the rhythm, moved by `shift`."""
    rng = np.random.default_rng(hour)
    times = np.sort(rng.integers(30 * DAY + hour * HOUR, 30 * DAY + (hour + 1) * HOUR, 400))
    table = batch_of({"load": _load(times, rng) + shift}, rng).table.set_column(1, TIME, pa.array(times))
    return WindowProfile.of(EventBatch(world.baseline.schema, table), world.baseline.layout)


def test_the_rhythm_of_the_day_is_no_drift(world: World) -> None:
    """Compared with the whole reference the night has drifted; compared with its own hour it has not."""
    plain, seasonal = Panel(world.baseline), SeasonalPanel(world.baseline, Season.HOUR)
    night = window(world, 18)
    assert main_drift(plain.run(night))["load"].drifted
    assert not main_drift(seasonal.judge(night)[0])["load"].drifted


def test_what_is_strange_for_its_hour_is_drift(world: World) -> None:
    """A load that is usual at noon is drift at night."""
    seasonal = SeasonalPanel(world.baseline, Season.HOUR)
    assert main_drift(seasonal.judge(window(world, 18, shift=6.0))[0])["load"].drifted


def test_sparse_seasons_fall_back_to_the_whole_reference(world: World) -> None:
    """An hour of the week with fewer than 200 reference rows is compared with all of it; so is an empty window."""
    seasonal = SeasonalPanel(world.baseline, Season.HOUR_OF_WEEK)
    empty = WindowProfile.empty(world.baseline.layout)
    assert seasonal.panel(window(world, 18)) is seasonal.panel(empty)


def test_a_season_needs_event_times(world: World) -> None:
    """Without a timestamp column the user is told which key is missing."""
    baseline = replace(world.baseline, schema=replace(world.baseline.schema, timestamp=None))
    with pytest.raises(ConfigError, match=r"columns\.timestamp"):
        SeasonalPanel(baseline, Season.WEEKDAY)
