"""The Python API, as a data scientist meets it in a notebook."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline

import mlhealth as mh
from mlhealth.files.production import Cut, read_production, reports
from mlhealth.monitor import Evaluator

SCHEMA = {
    "model": "churn",
    "columns": {"prediction": "y_pred", "score": "y_score", "label": "y_true", "timestamp": "at"},
}
NAMES = ("usage", "tickets", "age")


def _customers(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    frame = pd.DataFrame(rng.normal(size=(rows, len(NAMES))), columns=list(NAMES))
    chance = 1 / (1 + np.exp(-2.0 * frame["tickets"] + 1.5 * frame["usage"]))
    frame["y_true"] = (rng.random(rows) < chance).astype(int)
    return frame


@pytest.fixture(scope="module")
def model() -> Pipeline:
    """A trained classifier."""
    rows = _customers(np.random.default_rng(1), 2000)
    return make_pipeline(SimpleImputer(), LogisticRegression()).fit(rows[list(NAMES)], rows["y_true"])


def _logged(model: Pipeline, rows: int, seed: int) -> pd.DataFrame:
    frame = _customers(np.random.default_rng(seed), rows)
    score = model.predict_proba(frame[list(NAMES)])[:, 1]
    times = pd.date_range("2026-03-01", periods=rows, freq="2min", tz="UTC")
    return frame.assign(y_score=score, y_pred=(score >= 0.5).astype(int), at=times)


@pytest.fixture(scope="module")
def baseline(model: Pipeline) -> mh.Baseline:
    """A baseline fitted with the model as scorer."""
    return mh.fit(_logged(model, 1000, 2), SCHEMA, scorer=model.predict_proba)


@pytest.fixture(scope="module")
def production(model: Pipeline) -> pd.DataFrame:
    """Three days without labels; on the third the tickets arrive a hundred times too large."""
    frame = _logged(model, 2160, 3).drop(columns="y_true")
    frame.loc[1440:, "tickets"] *= 100
    score = model.predict_proba(frame[list(NAMES)])[:, 1]
    return frame.assign(y_score=score, y_pred=(score >= 0.5).astype(int))


@pytest.fixture(scope="module")
def report(baseline: mh.Baseline, production: pd.DataFrame) -> mh.Report:
    """The estimates by day."""
    return baseline.estimate(production, window="1d")


def test_public_names_are_there_and_lazy() -> None:
    """Every name of `__all__` is found, and none is loaded by the import alone."""
    assert set(mh.__all__) <= set(dir(mh))
    assert all(getattr(mh, name) is not None for name in mh.__all__)
    assert mh.__version__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        getattr(mh, "nothing")  # noqa: B009
    show = "import sys, mlhealth; print(*(m for m in sys.modules if m.startswith('mlhealth')))"
    loaded = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == ["mlhealth"]


def test_fit_stays_a_function_beside_the_module_of_that_name() -> None:
    """`mlhealth.fit` stays the function though importing the module of that name binds it to the package."""
    module = importlib.import_module("mlhealth.fit")
    vars(mh).pop("fit", None)
    type(mh).__setattr__(mh, "fit", module)  # what the import system does
    assert inspect.ismodule(module)
    assert inspect.isfunction(mh.fit)


def test_frame_has_one_row_per_window_under_familiar_names(report: mh.Report) -> None:
    """`to_df` has a row per window: place, estimate, interval, reference, threshold, alert, health."""
    frame = report.to_df()
    assert list(frame["chunk_index"]) == [0, 1, 2]
    assert frame["start_date"].iloc[0] == pd.Timestamp("2026-03-01", tz="UTC")
    assert frame["end_date"].iloc[0] == pd.Timestamp("2026-03-02", tz="UTC")
    calm = frame.iloc[0]
    assert calm["lower_confidence_boundary"] < calm["value"] < calm["upper_confidence_boundary"]
    assert calm["lower_threshold"] == pytest.approx(calm["reference"] - 0.05)
    assert list(frame["alert"]) == [status == "critical" for status in frame["health_status"]]
    assert frame["health_status"].iloc[0] == "healthy"


def test_a_broken_input_is_seen_without_labels(report: mh.Report) -> None:
    """The day of the wrong unit is the one that is not healthy, and its reason is told."""
    last = report.to_df().iloc[-1]
    assert last["health_status"] != "healthy"
    assert "tickets" in " ".join(reason.text for reason in report[-1].health.reasons)


def test_named_metrics_give_a_row_each(report: mh.Report) -> None:
    """Naming two metrics gives a row per window and metric; an unknown one is refused with what there is."""
    frame = report.to_df("accuracy", "roc_auc")
    assert list(frame["metric"].iloc[:2]) == ["accuracy", "roc_auc"]
    assert frame.loc[frame["metric"] == "roc_auc", "lower_threshold"].isna().all()
    with pytest.raises(mh.MlhealthError, match="metric 'mae' was not estimated; there are accuracy"):
        report.to_df("mae")


def test_drift_has_a_row_per_window_and_feature(report: mh.Report) -> None:
    """`drift_to_df` tells which feature left the reference in which window."""
    frame = report.drift_to_df()
    alerted = frame[frame["feature"].isin(NAMES) & frame["alert"]]
    assert set(alerted.loc[alerted["chunk_index"] == 2, "feature"]) == {"tickets"}
    assert {"value", "upper_threshold", "missing"} <= set(frame.columns)


@pytest.mark.parametrize("what", ["performance", "health", "drift"])
def test_plot_draws_every_kind(what: str, report: mh.Report) -> None:
    """A report draws its performance, health and drift."""
    assert mh.plot(report, what).data  # type: ignore[arg-type]


def test_plot_refuses_what_it_does_not_know(report: mh.Report) -> None:
    """An unknown kind or metric is refused with what there is."""
    with pytest.raises(mh.MlhealthError, match="cannot show 'roc'; it shows performance, health and drift"):
        report.plot("roc")  # type: ignore[arg-type]
    with pytest.raises(mh.MlhealthError, match="metric 'mae' was not estimated"):
        report.plot(metric="mae")


def test_notebooks_get_escaped_tables(report: mh.Report, baseline: mh.Baseline) -> None:
    """Reports and baselines show as HTML tables; text in them cannot become markup."""
    assert "<table" in report._repr_html_()
    assert "churn version 1" in baseline._repr_html_()
    named = mh.Report(report.windows, report.primary, notes=("<script>",))
    assert "&lt;script&gt;" in named._repr_html_()


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas], ids=["polars", "Arrow"])
def test_other_frames_give_the_same_numbers(
    convert: object, baseline: mh.Baseline, production: pd.DataFrame, report: mh.Report
) -> None:
    """Polars and Arrow in give the numbers of pandas in."""
    other = baseline.estimate(convert(production), window=timedelta(days=1))  # type: ignore[operator]
    pd.testing.assert_frame_equal(other.to_df(), report.to_df())


def test_saved_baseline_judges_alike_and_as_the_command_line(
    baseline: mh.Baseline, production: pd.DataFrame, report: mh.Report, tmp_path: Path
) -> None:
    """A baseline that was saved and loaded, and the path that the commands take, give the same reports."""
    baseline.save(tmp_path / "baseline")
    again = mh.Baseline.load(str(tmp_path / "baseline"))
    assert again.hash == baseline.hash
    pd.testing.assert_frame_equal(again.estimate(production, window="1d").to_df(), report.to_df())
    file = tmp_path / "production.parquet"
    production.to_parquet(file)
    day = Cut(width=86_400_000_000)
    judged = list(reports(read_production(file, again.record), Evaluator(again.record), day))
    assert [item.report for item in judged] == list(report)


def test_windows_by_rows_carry_row_numbers(baseline: mh.Baseline, production: pd.DataFrame) -> None:
    """Windows of 1,000 rows carry their first and last row, and the last is shorter."""
    frame = baseline.estimate(production, window_rows=1000).to_df()
    assert list(frame["start_index"]) == [0, 1000, 2000]
    assert list(frame["end_index"]) == [999, 1999, 2159]
    assert frame["start_date"].notna().all()


def test_truth_stands_beside_the_estimate_where_labels_are_there(
    baseline: mh.Baseline, model: Pipeline
) -> None:
    """Rows that have their label give the true value too, and the same estimate as without."""
    frame = _logged(model, 720, 4)
    known = baseline.estimate(frame, window_rows=720).to_df().iloc[0]
    unknown = baseline.estimate(frame.drop(columns="y_true"), window_rows=720).to_df().iloc[0]
    assert known["realized"] == pytest.approx(float((frame["y_pred"] == frame["y_true"]).mean()))
    assert unknown["realized"] is None
    assert known["value"] == unknown["value"]


def test_mistakes_are_told_in_one_line(baseline: mh.Baseline, production: pd.DataFrame) -> None:
    """What a newcomer gets wrong is told in one line that says what to do."""
    with pytest.raises(mh.MlhealthError, match="give one of window='1d'"):
        baseline.estimate(production)
    with pytest.raises(mh.MlhealthError, match=r"there is no column 'at'; use window_rows=2000"):
        baseline.estimate(production.drop(columns="at"), window="1d")
    with pytest.raises(mh.MlhealthError, match=r"production: there is no column 'y_pred'"):
        baseline.estimate(production.drop(columns="y_pred"), window_rows=500)
    with pytest.raises(mh.MlhealthError, match=r"window is 1000; .* or window_rows"):
        baseline.estimate(production, window=1000)  # type: ignore[arg-type]
    with pytest.raises(mh.MlhealthError, match="must be longer than nothing"):
        baseline.estimate(production, window=timedelta(0))
    with pytest.raises(mh.MlhealthError, match=r"schema:.*columns"):
        mh.fit(production, {"model": "churn"})


def test_a_missing_column_is_warned_of(baseline: mh.Baseline, production: pd.DataFrame) -> None:
    """A feature that is not there is taken as missing, with a warning that the report keeps."""
    with pytest.warns(UserWarning, match="there is no column 'age': taken as missing"):
        report = baseline.estimate(production.drop(columns="age"), window_rows=2160)
    assert "age" in report.notes[0]


def test_a_regression_is_estimated_by_its_errors(rng: np.random.Generator) -> None:
    """A regression's mean absolute error is estimated, and its threshold lies above the reference."""
    frame = pd.DataFrame(rng.normal(size=(1800, 2)), columns=["a", "b"])
    frame = frame.assign(truth=2 * frame["a"] - frame["b"] + rng.normal(size=1800))
    model = make_pipeline(SimpleImputer(), Ridge()).fit(frame[["a", "b"]][:600], frame["truth"][:600])
    frame["answer"] = model.predict(frame[["a", "b"]])
    schema = {"model": "price", "columns": {"prediction": "answer", "label": "truth"}}
    baseline = mh.fit(frame[600:1200], schema, scorer=model.predict)
    window = frame[1200:].reset_index(drop=True)
    told = baseline.estimate(window.drop(columns="truth"), window_rows=600).to_df().iloc[0]
    true = float((window["truth"] - window["answer"]).abs().mean())
    assert told["metric"] == "mae"
    assert told["lower_confidence_boundary"] < true < told["upper_confidence_boundary"]
    assert told["upper_threshold"] == pytest.approx(1.2 * told["reference"])


def test_classes_are_estimated_by_name(rng: np.random.Generator) -> None:
    """A model of three classes with text labels is read by the names of its score columns."""
    frame = pd.DataFrame(rng.normal(size=(1800, 2)), columns=["a", "b"])
    noisy = frame + rng.normal(scale=0.5, size=frame.shape)
    truth = np.array(["low", "mid", "top"])[(noisy["a"] > 0).astype(int) + (noisy["b"] > 0.5)]
    model = make_pipeline(SimpleImputer(), LogisticRegression()).fit(frame[:600], truth[:600])
    scores = pd.DataFrame(model.predict_proba(frame), columns=["s_low", "s_mid", "s_top"])
    logged = pd.concat([frame, scores], axis=1).assign(answer=model.predict(frame), truth=truth)
    columns = {
        "prediction": "answer",
        "label": "truth",
        "score": {"top": "s_top", "mid": "s_mid", "low": "s_low"},
    }
    baseline = mh.fit(logged[600:1200], {"model": "size", "columns": columns}, scorer=model.predict_proba)
    told = baseline.estimate(logged[1200:].drop(columns="truth"), window_rows=600).to_df().iloc[0]
    true = float((logged["answer"] == logged["truth"])[1200:].mean())
    assert told["lower_confidence_boundary"] < true < told["upper_confidence_boundary"]
