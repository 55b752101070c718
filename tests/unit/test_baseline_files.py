"""A saved baseline is the same baseline; a damaged one is refused; nothing in it is executed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.neighbors import KNeighborsClassifier

from mlhealth.baseline import files as baseline_files
from mlhealth.baseline.model_files import dump_model, load_model
from mlhealth.baseline.record import FittedState
from mlhealth.errors import BaselineError
from mlhealth.profile.window_profile import WindowProfile
from tests.loans import loan_baseline


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved baseline."""
    baseline_files.save(loan_baseline(), tmp_path / "base")
    return tmp_path / "base"


def test_a_saved_baseline_is_the_same(folder: Path) -> None:
    """Loading gives back every part, and saving that gives the same bytes."""
    original, loaded = loan_baseline(), baseline_files.load(folder)
    assert loaded.hash == original.hash
    assert loaded.schema == original.schema
    assert loaded.layout == original.layout
    assert loaded.metrics == original.metrics
    assert loaded.rows.equals(original.rows) or loaded.rows.to_pandas().equals(original.rows.to_pandas())
    assert loaded.nulls.keys() == original.nulls.keys()
    assert baseline_files.to_bytes(loaded) == baseline_files.to_bytes(original)
    assert isinstance(loaded.reference, WindowProfile)


def test_bytes_and_folder_hold_the_same(folder: Path) -> None:
    """The blob for the store carries the baseline with the same hash."""
    blob = baseline_files.to_bytes(baseline_files.load(folder))
    assert baseline_files.from_bytes(blob).hash == loan_baseline().hash


def test_the_hash_is_of_the_content_only() -> None:
    """When a baseline was made does not change its hash; what it judges by does."""
    base = loan_baseline()
    assert baseline_files.seal(replace(base, hash="", created=5, notes=("x",))).hash == base.hash
    assert baseline_files.seal(replace(base, hash="", primary="f1")).hash != base.hash


def test_a_baseline_changed_in_memory_is_not_saved_under_the_old_hash(tmp_path: Path) -> None:
    """A record altered after it was sealed is refused."""
    with pytest.raises(BaselineError, match="was changed"):
        baseline_files.save(replace(loan_baseline(), seed=99), tmp_path / "x")


@pytest.mark.parametrize(
    "name", ["baseline.json", "layout.json", "reference.arrow", "rows.parquet", "nulls.npz"]
)
def test_a_changed_file_is_refused_by_name(folder: Path, name: str) -> None:
    """One altered byte, or a missing file, is told with the file's name."""
    body = bytearray((folder / name).read_bytes())
    body[len(body) // 2] ^= 1
    (folder / name).write_bytes(body)
    with pytest.raises(BaselineError, match=f"{name} was changed or damaged"):
        baseline_files.load(folder)
    (folder / name).unlink()
    with pytest.raises(BaselineError, match=f"{name} is missing"):
        baseline_files.load(folder)


def test_a_changed_manifest_is_refused(folder: Path) -> None:
    """Neither another hash, nor another format, nor no manifest at all passes."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "hash": "0" * 64}))
    with pytest.raises(BaselineError, match=r"manifest\.json was changed"):
        baseline_files.load(folder)
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(BaselineError, match="format 99"):
        baseline_files.load(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(BaselineError, match="is not a baseline"):
        baseline_files.load(folder)


def test_a_blob_cut_short_is_refused() -> None:
    """Half a blob is damaged, and says so."""
    blob = baseline_files.to_bytes(loan_baseline())
    with pytest.raises(BaselineError, match="damaged"):
        baseline_files.from_bytes(blob[: len(blob) // 2])


def test_a_folder_with_other_things_is_not_overwritten(tmp_path: Path) -> None:
    """`--out` pointed at a folder of something else leaves it alone; an older baseline is replaced whole."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BaselineError, match="is not a baseline"):
        baseline_files.save(loan_baseline(), tmp_path)
    baseline_files.save(loan_baseline(), tmp_path / "b")
    (tmp_path / "b" / "left-over").write_text("old")
    baseline_files.save(loan_baseline(), tmp_path / "b")
    assert not (tmp_path / "b" / "left-over").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "thesis.txt"]


def test_a_fitted_state_survives_with_its_models(tmp_path: Path, rng: np.random.Generator) -> None:
    """Parameters, arrays and models of an estimator come back with the same answers."""
    x, y = rng.normal(size=(300, 3)), rng.integers(0, 2, 300)
    model = HistGradientBoostingClassifier(max_iter=5).fit(x, y)
    state = FittedState({"a": [1, 2.5, None]}, {"edge": np.arange(3.0)}, {"error model": model})
    base = baseline_files.seal(replace(loan_baseline(), hash="", estimators={"mpp": state}))
    baseline_files.save(base, tmp_path / "b")
    loaded = baseline_files.load(tmp_path / "b").estimators["mpp"]
    assert loaded.params == state.params
    assert loaded.arrays["edge"].tolist() == [0.0, 1.0, 2.0]
    np.testing.assert_array_equal(loaded.models["error model"].predict_proba(x), model.predict_proba(x))
    shutil.rmtree(tmp_path / "b")


@pytest.mark.parametrize("kind", [HistGradientBoostingClassifier, RandomForestRegressor])
def test_equal_models_are_equal_bytes(kind: type, rng: np.random.Generator) -> None:
    """Two fits on the same rows, and a model loaded again, are written as the same bytes."""
    x, y = rng.normal(size=(200, 3)), rng.integers(0, 2, 200)
    size = {"max_iter": 5} if kind is HistGradientBoostingClassifier else {"n_estimators": 5}
    first, second = (dump_model(kind(random_state=0, **size).fit(x, y)) for _ in range(2))
    assert first == second
    assert dump_model(load_model(first, "model")) == first


def test_types_that_are_not_listed_are_not_loaded(rng: np.random.Generator) -> None:
    """A model with a type outside the list is refused by name; so are bytes that are no model."""
    foreign = dump_model(KNeighborsClassifier().fit(rng.normal(size=(50, 2)), rng.integers(0, 2, 50)))
    with pytest.raises(BaselineError, match="which is not trusted"):
        load_model(foreign, "x.skops")
    with pytest.raises(BaselineError, match="cannot be read"):
        load_model(b"junk", "x.skops")


def test_isotonic_models_survive(rng: np.random.Generator) -> None:
    """A calibration curve answers the same after loading."""
    x = rng.random(100)
    model = IsotonicRegression(out_of_bounds="clip").fit(x, x > 0.5)
    np.testing.assert_array_equal(load_model(dump_model(model), "m").predict(x), model.predict(x))
