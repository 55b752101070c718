"""`mpp` on references, windows and scorers that are not as they should be: an honest status, or a clear refusal."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from mlhealth.errors import ScorerUnavailable
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.metric_names import metric_of
from mlhealth.estimators.mpp import Mpp
from mlhealth.estimators.rows import Rows, Scorer, rows_from_table
from mlhealth.estimators.synthetic import synthetic_rows
from mlhealth.records import EstimateStatus, PerformanceEstimate
from mlhealth.schema.model_schema import Feature, FeatureType, Storage

METRICS = ("accuracy", "roc_auc", "f1")
Answered = tuple[NDArray[np.float64], NDArray[np.float64] | None]


def answer(features: pd.DataFrame) -> Answered:
    """Answer as a deployed model of the synthetic table would."""
    chance = 1.0 / (1.0 + np.exp(-np.clip(features["x"].fillna(0.0).to_numpy(float), -30.0, 30.0)))
    return (chance > 0.5).astype(np.int64), np.column_stack([1.0 - chance, chance])


def rows(count: int, seed: int) -> Rows:
    """Return labelled rows that `answer` answered."""
    made = synthetic_rows(count, seed=seed).rows
    prediction, scores = answer(made.features)
    return replace(made, prediction=prediction, scores=scores)


def broken(count: int, seed: int) -> Rows:
    """Return rows without labels whose `x` came 100 times too large, as the model answered them."""
    made = rows(count, seed)
    features = made.features.assign(x=made.features["x"] * 100)
    prediction, scores = answer(features)
    return replace(made, features=features, prediction=prediction, scores=scores, label=None)


@cache
def fitted() -> Mpp:
    """Return `mpp` with a scorer known at fit time."""
    return Mpp.fit(FitInputs(rows(900, 0), METRICS, scorer=answer))


def hold(found: dict[str, PerformanceEstimate], window: Rows) -> None:
    """Check that nothing is NaN, no interval leaves its metric's range, and silence has a reason."""
    for metric, estimate in found.items():
        if estimate.status is EstimateStatus.NOT_IDENTIFIABLE:
            assert estimate.note
            continue
        known = metric_of(metric, window.schema)
        assert estimate.value is not None
        assert estimate.lower is not None
        assert estimate.upper is not None
        assert all(math.isfinite(v) for v in (estimate.value, estimate.lower, estimate.upper))
        assert known.lower <= estimate.lower <= estimate.value <= estimate.upper <= known.upper


def timing_out(features: pd.DataFrame) -> Answered:
    """Fail as a scorer that does not answer in time does."""
    raise ScorerUnavailable("the scorer did not answer within 5 s: is it running?")


def of_other_rows(features: pd.DataFrame) -> Answered:
    """Answer fewer rows than were asked about."""
    return answer(features.iloc[: len(features) // 2])


def of_another_model(features: pd.DataFrame) -> Answered:
    """Answer otherwise than the log."""
    prediction, scores = answer(features)
    assert scores is not None
    return 1 - prediction, scores[:, ::-1].copy()


@pytest.mark.parametrize("scorer", [timing_out, of_other_rows, of_another_model])
def test_a_scorer_that_cannot_be_relied_on_is_replaced_by_its_stand_in(scorer: Scorer) -> None:
    """A scorer that times out, answers other rows or another model's predictions changes a note, not the answer."""
    window = broken(600, 3)
    asked, plain = fitted().estimate(window, scorer=scorer), fitted().estimate(window)
    assert all("a stand-in answered: the scorer" in (e.note or "") for e in asked.values())
    assert {m: replace(e, note=None) for m, e in asked.items()} == plain


def wide(count: int, seed: int, columns: int) -> Rows:
    """Return rows with further columns that have no ties to anything."""
    made = rows(count, seed)
    rng = np.random.default_rng([seed, 5])
    names = [f"extra{i:03d}" for i in range(columns)]
    more = pd.DataFrame(rng.normal(size=(count, columns)), columns=names)
    features = tuple(Feature(name, FeatureType.NUMERIC, Storage.FLOAT) for name in names)
    schema = replace(made.schema, features=(*made.schema.features, *features))
    return replace(made, schema=schema, features=pd.concat([made.features, more], axis=1))


@pytest.mark.parametrize(
    "columns", [60, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_tables_wider_than_explanations_are_judged_by(columns: int) -> None:
    """A wide table is fitted, stays quiet on rows like its reference, and a broken column is found in it."""
    method = Mpp.fit(FitInputs(wide(520, 0, columns), ("accuracy",)))
    still = replace(wide(600, 1, columns), label=None)
    assert method.explain(still) == ()
    made = wide(600, 2, columns)
    features = made.features.assign(x=made.features["x"] * 100)
    prediction, scores = answer(features)
    window = replace(made, features=features, prediction=prediction, scores=scores, label=None)
    hold(method.estimate(window), window)
    assert "x" in {column for told in method.explain(window) for column in told.columns}


def test_a_column_of_fifty_thousand_categories() -> None:
    """Categories that hardly ever recur neither stop the fit nor count as movement."""

    def crowded(count: int, seed: int) -> Rows:
        made = rows(count, seed)
        users = np.random.default_rng([seed, 9]).integers(50_000, size=count)
        schema = replace(
            made.schema,
            features=(*made.schema.features, Feature("user", FeatureType.CATEGORICAL, Storage.STRING)),
        )
        text = pd.Series([f"user-{u}" for u in users], dtype=object)
        return replace(made, schema=schema, features=made.features.assign(user=text))

    method = Mpp.fit(FitInputs(crowded(900, 0), METRICS))
    window = replace(crowded(600, 1), label=None)
    hold(method.estimate(window), window)
    assert method.explain(window) == ()


def test_scores_that_do_not_match_predictions() -> None:
    """A model whose predictions contradict its scores is measured by its predictions."""
    made = rows(900, 0)
    assert made.scores is not None
    reference = replace(made, scores=made.scores[:, ::-1].copy())
    window = replace(rows(600, 1), scores=rows(600, 1).scores[:, ::-1].copy(), label=None)  # type: ignore[index]
    found = Mpp.fit(FitInputs(reference, METRICS)).estimate(window)
    hold(found, window)
    truth = float((rows(600, 1).prediction == rows(600, 1).label).mean())
    assert found["accuracy"].value == pytest.approx(truth, abs=0.06)
    assert found["roc_auc"].value is not None
    assert found["roc_auc"].value < 0.5


def test_an_absent_column_another_type_and_infinities() -> None:
    """A window without a column, with text for numbers and with infinities is read as missing values and answered."""
    made = rows(600, 4)
    table = pa.table(
        {
            "prediction": made.prediction,
            "score": made.scores[:, 1],  # type: ignore[index]
            "x": pa.array(["many"] * 300 + [str(v) for v in made.features["x"][300:]]),
            "z": np.where(np.arange(600) % 3 == 0, np.inf, made.features["z"].to_numpy(float)),
        }
    )
    renamed = table.rename_columns(_canonical(table.column_names))
    window = rows_from_table(renamed, made.schema)
    assert window.features["x"].isna().mean() == 0.5
    assert np.isfinite(window.features["z"].dropna()).all()
    found = fitted().estimate(window)
    hold(found, window)
    columns = {column for told in fitted().explain(window) for column in told.columns}
    assert {"x", "z", "region"} & columns


def _canonical(names: list[str]) -> list[str]:
    from mlhealth.events.batch import PREDICTION, score_columns

    known = {"prediction": PREDICTION, "score": score_columns(synthetic_rows(1).rows.schema)[0]}
    return [known.get(name, name) for name in names]
