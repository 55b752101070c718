"""`fit`: what it learns, what it refuses, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from mlhealth.baseline.record import Baseline
from mlhealth.clock import ManualClock
from mlhealth.config.strict_yaml import parse, validated
from mlhealth.errors import ConfigError, DataError
from mlhealth.fit import KEPT_ROWS, fit
from mlhealth.schema.file import SchemaFile
from tests.loans import MODEL_YAML, loan_baseline, loan_schema, loan_table


def replaced(table: pa.Table, name: str, values: object) -> pa.Table:
    """Return the table with one column replaced."""
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def test_the_baseline_knows_the_reference() -> None:
    """Rows, metrics, methods, layout and nulls are of the reference."""
    base = loan_baseline()
    assert base.reference.rows == base.rows.num_rows == 2_000 <= KEPT_ROWS
    assert base.primary == "accuracy"
    assert 0.6 < base.metrics["accuracy"].value < 0.9
    assert 0 < base.metrics["accuracy"].standard_error < 0.02
    assert list(base.estimators) == ["cbpe"]
    assert base.mode == "reference only"
    assert {feature for _, feature in base.nulls} >= set(base.schema.feature_names)


def test_fitting_twice_gives_the_same_hash() -> None:
    """The same rows, schema and seed make the same baseline, whatever the clock and the rows' order in the file."""
    table = loan_table(2_000)
    again = fit(table, loan_schema(), methods=["cbpe"], clock=ManualClock(10**15))
    assert again.hash == loan_baseline().hash
    assert again.created == 10**15


def test_another_table_gives_another_hash() -> None:
    """Content addressing tells baselines apart."""
    other = fit(loan_table(2_000, seed=1), loan_schema(), methods=["cbpe"])
    assert other.hash != loan_baseline().hash


def test_too_few_rows_are_refused_with_the_reason() -> None:
    """Fewer than 500 usable rows is an error that names the file and says why rows were left out."""
    with pytest.raises(DataError, match=r"ref.csv: has 400 usable rows with a label, at least 500"):
        fit(loan_table(400), loan_schema(), name="ref.csv")
    bad = replaced(loan_table(600), "y_score", [2.0] * 300 + [0.5] * 300)
    with pytest.raises(
        DataError, match="300 rows were left out because of y_score: the score is outside 0 to 1"
    ):
        fit(bad, loan_schema())


def test_a_label_with_one_value_is_refused() -> None:
    """Without rows of both classes there is nothing to learn."""
    with pytest.raises(DataError, match="label 'y_true' has one value only"):
        fit(replaced(loan_table(600), "y_true", [1] * 600), loan_schema())


def test_a_schema_without_label_is_refused() -> None:
    """A baseline needs the truth of its reference rows, and the message names the key."""
    spec = validated(parse(MODEL_YAML.replace("  label: y_true\n", ""), "m"), SchemaFile)
    with pytest.raises(ConfigError, match=r"columns\.label"):
        fit(loan_table(600), spec)


def test_an_unknown_metric_or_method_is_refused() -> None:
    """A misspelt metric or method is an error before anything is fitted."""
    with pytest.raises(ConfigError, match="accuraci"):
        fit(loan_table(600), loan_schema(), metrics=["accuraci"])
    with pytest.raises(ConfigError, match="cbbe"):
        fit(loan_table(600), loan_schema(), methods=["cbbe"])


def test_scores_that_contradict_the_predictions_are_noted() -> None:
    """The score of the other class is pointed out, with the key to look at."""
    table = loan_table(600)
    turned = replaced(table, "y_score", 1 - np.asarray(table.column("y_score")))
    notes = fit(turned, loan_schema(), methods=["cbpe"]).notes
    assert any("do not follow from the scores" in n or "columns.positive_class" in n for n in notes)


def test_a_perfect_reference_is_doubted() -> None:
    """Predictions that are all right look like training rows."""
    table = loan_table(600)
    perfect = replaced(table, "y_true", table.column("y_pred").to_pylist())
    assert any("trained on" in note for note in fit(perfect, loan_schema(), methods=["cbpe"]).notes)


def asked(features: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Answer as the lender's model does (missing incomes as 40)."""
    chance = 1 / (1 + np.exp(-(0.08 * features["debt"] - 0.03 * features["income"].fillna(40.0))))
    chance = np.where(features["owner"] == "1", 1 / (1 + (1 / chance - 1) * np.exp(-0.5)), chance)
    return (chance >= 0.5).astype(np.float64), np.column_stack([1 - chance, chance])


def test_a_scorer_and_training_rows_decide_the_mode() -> None:
    """The mode tells what the baseline was fitted with."""
    fitted = fit(loan_table(600), loan_schema(), methods=["cbpe"], scorer=asked)
    assert fitted.mode == "fit-time scorer"
    full = fit(loan_table(600), loan_schema(), methods=["cbpe"], scorer=asked, train=loan_table(600, seed=5))
    assert full.mode == "full"


def test_a_scorer_of_another_model_is_refused() -> None:
    """A scorer that does not reproduce the logged predictions is not this model."""

    def opposite(features: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        prediction, scores = asked(features)
        return 1 - prediction, scores[:, ::-1]

    with pytest.raises(ConfigError, match="the scorer reproduces only"):
        fit(loan_table(600), loan_schema(), methods=["cbpe"], scorer=opposite)


def test_progress_only_moves_forward() -> None:
    """The callback hears named steps whose share done never falls."""
    heard: list[tuple[str, float]] = []
    fit(
        loan_table(600),
        loan_schema(),
        methods=["cbpe"],
        progress=lambda step, done: heard.append((step, done)),
    )
    shares = [done for _, done in heard]
    assert shares == sorted(shares)
    assert any("cbpe" in step for step, _ in heard)


def test_regression_and_multiclass_baselines_can_be_fitted() -> None:
    """The other two tasks have a baseline of their own metrics; three classes may come without any score."""
    table = loan_table(800).drop_columns(["y_pred", "y_score", "y_true"])
    debt = np.asarray(table.column("debt"))
    numbers = {"answer": debt * 2, "truth": debt * 2 + np.sin(debt)}
    assert fitted_on(table, numbers, "dle").primary == "mae"
    levels = np.where(debt < 5, "low", np.where(debt < 12, "mid", "high")).tolist()
    several = fitted_on(table, {"answer": levels, "truth": levels[1:] + levels[:1]}, "mpp_row")
    assert several.schema.classes == ("high", "low", "mid")
    assert set(several.metrics) == {"accuracy", "f1", "balanced_accuracy", "precision", "recall"}


def test_a_small_reference_falls_back_on_a_plainer_method() -> None:
    """Where the default method needs more rows than there are, a plainer one answers, and a note says so."""
    found = fit(loan_table(500), loan_schema())
    assert found.estimators
    assert "mpp" in found.estimators or any("method mpp could not be fitted" in note for note in found.notes)


def fitted_on(table: pa.Table, columns: Mapping[str, object], method: str) -> Baseline:
    """Return the baseline of a table with the given columns `answer` and `truth` added."""
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    text = "model: m\ncolumns: {prediction: answer, label: truth, id: event_id, timestamp: ts}"
    return fit(table, validated(parse(text, "model.yaml"), SchemaFile), methods=[method])
