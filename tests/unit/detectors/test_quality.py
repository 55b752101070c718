"""Faults of a feature: which there are, how they are told, and which are severe."""

from __future__ import annotations

import numpy as np
import pytest

from mlhealth.detectors import Panel, main_drift
from mlhealth.detectors.quality import describe, severe
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import FeatureQuality
from tests.drift_builder import World, draw, world_of


@pytest.fixture(scope="module")
def world() -> World:
    """A reference of 3,000 rows."""
    return world_of(draw(3_000, np.random.default_rng(1)))


def faults(world: World, **changed: np.ndarray) -> dict[str, tuple[str, ...]]:
    """Return the faults by feature of a calm window of 600 rows in which some columns were changed."""
    window = world.window({**draw(600, np.random.default_rng(5)), **changed})
    return {name: q.faults for name, q in Panel(world.baseline).quality(window).items() if q.faults}


def test_a_calm_window_has_no_faults(world: World) -> None:
    """A window like the reference has no faults, even in columns with missing values of old."""
    assert faults(world) == {}


def test_each_fault_is_named(world: World) -> None:
    """Every kind of fault is found in the column that has it, and nowhere else."""
    some = np.arange(600) < 120
    normal = np.random.default_rng(6).normal(size=600)
    letters = np.where(some, "zz", "a").astype(object)
    assert faults(world, smooth=np.full(600, np.nan))["smooth"][0] == "all missing"
    assert faults(world, smooth=np.where(some, np.nan, normal)) == {"smooth": ("missing rate changed",)}
    assert faults(world, smooth=np.where(some, np.inf, normal)) == {"smooth": ("non-finite values",)}
    assert faults(world, smooth=np.where(some, 50.0, normal))["smooth"] == ("out of range",)
    assert faults(world, smooth=np.full(600, 0.1)) == {"smooth": ("stuck at one value",)}
    assert faults(world, letter=letters)["letter"] == ("unseen categories",)


def test_a_column_long_missing_is_no_fault() -> None:
    """A column that was missing throughout the reference may stay missing."""
    columns = {**draw(800, np.random.default_rng(2)), "smooth": np.full(800, np.nan)}
    world = world_of(columns)
    assert Panel(world.baseline).quality(world.window(columns))["smooth"].faults == ()


def test_an_empty_window_has_no_quality(world: World) -> None:
    """Of no rows nothing is said."""
    assert Panel(world.baseline).quality(WindowProfile.empty(world.baseline.layout)) == {}


def test_fractions_are_of_all_rows(world: World) -> None:
    """The fractions of a feature's rows that are missing or outside add up as counted by hand."""
    values = np.concatenate([np.full(150, np.nan), np.full(300, 99.0), np.zeros(150)])
    window = world.window({**draw(600, np.random.default_rng(5)), "smooth": values})
    found = Panel(world.baseline).quality(window)["smooth"]
    assert (found.missing, found.out_of_range) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        (FeatureQuality(1.0, 0.0, 0.0, 0.0, ("all missing", "missing rate changed")), True),
        (FeatureQuality(0.2, 0.0, 0.0, 0.0, ("missing rate changed",)), False),
        (FeatureQuality(0.0, 0.0, 0.9, 0.0, ("out of range",)), True),
        (FeatureQuality(0.0, 0.0, 0.0, 0.0, ("stuck at one value",)), False),
    ],
)
def test_severe_faults_touch_most_rows(quality: FeatureQuality, expected: bool) -> None:
    """A fault is severe when it touches at least half of the rows."""
    assert severe(quality) is expected
    assert describe("x", quality).startswith("x ")


def test_main_drift_has_one_answer_per_column(world: World) -> None:
    """The report's drift names every feature, the prediction and the score once, by Jensen-Shannon distance."""
    drift = main_drift(Panel(world.baseline).run(world.window(draw(300, np.random.default_rng(3)))))
    assert set(drift) == {*world.baseline.schema.feature_names, "__prediction", "__score"}
    assert {r.detector for r in drift.values()} == {"jensen_shannon"}
