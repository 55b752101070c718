"""Corruptions and shifts: seeded, by name, touching what they say and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlhealth import corrupt as library
from mlhealth.corrupt import corrupt, eligible, kinds, register
from mlhealth.errors import ConfigError, DataError
from mlhealth.shifts import Population, register_shift, resample, shift_kinds


@pytest.fixture
def frame(rng: np.random.Generator) -> pd.DataFrame:
    """A table with numeric and categorical columns."""
    size = 400
    return pd.DataFrame(
        {
            "income": rng.lognormal(10, 1, size),
            "age": rng.integers(18, 80, size).astype(float),
            "debt": rng.normal(0, 1000, size),
            "region": rng.choice(np.array(["north", "south", "east"], dtype=object), size),
            "plan": rng.choice(np.array(["basic", "gold"], dtype=object), size),
        }
    )


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_touches_only_what_it_says(frame: pd.DataFrame, kind: str) -> None:
    """A corruption changes marked rows of its columns only, changes some, and leaves the given table alone."""
    before = frame.copy(deep=True)
    done = corrupt(frame, kind, rng=np.random.default_rng(1), fraction=0.5)
    pd.testing.assert_frame_equal(frame, before)
    differs = (done.features != frame) & ~(done.features.isna() & frame.isna())
    assert differs.to_numpy().any()
    assert not differs.loc[~done.rows].to_numpy().any()
    assert set(differs.columns[differs.any()]) <= set(done.columns)


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_same_seed_same_table(frame: pd.DataFrame, kind: str) -> None:
    """The same seed breaks a table the same way."""
    one, other = (corrupt(frame, kind, rng=np.random.default_rng(5)) for _ in range(2))
    pd.testing.assert_frame_equal(one.features, other.features)


def test_swap_exchanges_both_columns(frame: pd.DataFrame) -> None:
    """A swap of all rows puts each column's values in the other's place."""
    done = corrupt(
        frame, "swapped columns", rng=np.random.default_rng(0), columns=("age", "income"), fraction=1.0
    )
    np.testing.assert_array_equal(done.features["age"], frame["income"])
    np.testing.assert_array_equal(done.features["income"], frame["age"])


def test_misaligned_join_keeps_columns_together(frame: pd.DataFrame) -> None:
    """Columns joined to the wrong rows still belong to one another."""
    done = corrupt(
        frame, "misaligned join", rng=np.random.default_rng(0), columns=("age", "debt"), fraction=1.0
    )
    pairs = set(zip(frame["age"], frame["debt"], strict=True))
    assert all(pair in pairs for pair in zip(done.features["age"], done.features["debt"], strict=True))
    assert (done.features["age"] != frame["age"]).any()


def test_user_registers_a_kind(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own kind is known by its name, and works on the columns it was registered for."""
    monkeypatch.setattr(library, "_KINDS", dict(kinds()))

    @register("doubled", works_on="numeric")
    def _doubled(
        table: pd.DataFrame, columns: tuple[str, ...], rows: np.ndarray, rng: np.random.Generator
    ) -> pd.DataFrame:
        table.loc[rows, list(columns)] *= 2
        return table

    done = corrupt(frame, "doubled", rng=np.random.default_rng(0), columns=("age",), fraction=1.0)
    np.testing.assert_array_equal(done.features["age"], 2 * frame["age"])
    assert eligible(frame, "doubled") == ("income", "age", "debt")


def test_refuses_what_cannot_be_done(frame: pd.DataFrame) -> None:
    """Unknown kinds, columns of the wrong type and tables with too few columns are refused by name."""
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="no corruption kind 'gremlins'"):
        corrupt(frame, "gremlins", rng=rng)
    with pytest.raises(DataError, match="numeric columns only"):
        corrupt(frame, "noise", rng=rng, columns=("region",))
    with pytest.raises(DataError, match="needs 2"):
        corrupt(frame[["age", "region"]], "swapped columns", rng=rng)


@pytest.mark.parametrize("kind", sorted(shift_kinds()))
def test_shift_draws_existing_rows(frame: pd.DataFrame, kind: str) -> None:
    """A shift answers with as many positions of existing rows as were asked for, the same for the same seed."""
    population = Population(frame, (frame["age"] > 50).to_numpy().astype(int))
    one, other = (resample(population, kind, 120, np.random.default_rng(3)) for _ in range(2))
    assert one.shape == (120,)
    assert one.min() >= 0
    assert one.max() < len(frame)
    np.testing.assert_array_equal(one, other)


def test_label_mix_moves_the_classes(frame: pd.DataFrame) -> None:
    """A label mix changes how often classes occur."""
    label = (frame["age"] > 50).to_numpy().astype(int)
    shares = [
        label[resample(Population(frame, label), "label mix", 300, np.random.default_rng(s))].mean()
        for s in range(8)
    ]
    assert max(shares) - min(shares) > 0.3


def test_unknown_shift_is_refused(frame: pd.DataFrame) -> None:
    """An unknown shift is refused with the names that exist, and a label shift without labels says what it needs."""
    with pytest.raises(ConfigError, match="known are cluster"):
        resample(Population(frame), "sideways", 10, np.random.default_rng(0))
    with pytest.raises(DataError, match="needs labels"):
        resample(Population(frame), "label mix", 10, np.random.default_rng(0))


def test_user_registers_a_shift(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own shift is known by its name."""
    from mlhealth import shifts

    monkeypatch.setattr(shifts, "_SHIFTS", dict(shift_kinds()))

    @register_shift("first rows")
    def _first(population: Population, rows: int, rng: np.random.Generator) -> np.ndarray:
        return np.arange(rows)

    np.testing.assert_array_equal(
        resample(Population(frame), "first rows", 4, np.random.default_rng(0)), range(4)
    )
