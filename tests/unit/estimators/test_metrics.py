"""Realised metrics and rows agree with an independent implementation and bear what tables bring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as known

from mlhealth.errors import ConfigError
from mlhealth.estimators.metric_names import confusion_metrics, default_metrics, metric_of
from mlhealth.estimators.metrics import realised
from mlhealth.estimators.rows import rows_from_table
from mlhealth.estimators.synthetic import synthetic_rows, synthetic_schema
from mlhealth.schema.model_schema import Task


def _brier(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return Brier's own score over all classes, which scikit-learn knows since 1.7."""
    return float(np.square(np.eye(scores.shape[1])[truth] - scores).sum(axis=1).mean())


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_class_metrics_agree_with_scikit_learn(task: Task) -> None:
    """Every classification metric equals scikit-learn's."""
    rows = synthetic_rows(700, seed=1, task=task).rows
    truth, said, scores = rows.label, rows.prediction, rows.scores
    assert truth is not None
    assert scores is not None
    binary = task is Task.BINARY
    given, average = (scores[:, 1], "binary") if binary else (scores, "macro")
    expected = {
        "accuracy": known.accuracy_score(truth, said),
        "balanced_accuracy": known.balanced_accuracy_score(truth, said),
        "precision": known.precision_score(truth, said, average=average, zero_division=0),
        "recall": known.recall_score(truth, said, average=average),
        "f1": known.f1_score(truth, said, average=average),
        "roc_auc": known.roc_auc_score(truth, given, multi_class="ovr"),
        "average_precision": known.average_precision_score(truth, given),
        "log_loss": known.log_loss(truth, scores),
        "brier": known.brier_score_loss(truth, given) if binary else _brier(truth, scores),
    }
    found = realised(rows, default_metrics(rows.schema))
    assert {name: m.value for name, m in found.items()} == pytest.approx(expected, abs=1e-9)


def test_regression_metrics_agree_with_scikit_learn() -> None:
    """Every regression metric equals scikit-learn's."""
    rows = synthetic_rows(700, seed=1, task=Task.REGRESSION).rows
    expected = {
        "mae": known.mean_absolute_error(rows.label, rows.prediction),
        "rmse": known.root_mean_squared_error(rows.label, rows.prediction),
        "mape": known.mean_absolute_percentage_error(rows.label, rows.prediction),
        "r2": known.r2_score(rows.label, rows.prediction),
    }
    found = realised(rows, default_metrics(rows.schema))
    assert {name: m.value for name, m in found.items()} == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("task", list(Task))
def test_standard_errors_agree_with_resampling(task: Task, rng: np.random.Generator) -> None:
    """The standard error from influence is that of resampled rows, within a sixth."""
    rows = synthetic_rows(1500, seed=2, task=task).rows
    names = default_metrics(rows.schema)
    found = realised(rows, names)
    again = [realised(rows.take(rng.integers(0, 1500, 1500)), names) for _ in range(300)]
    for name in names:
        spread = float(np.std([float(a[name].value or 0.0) for a in again]))
        assert found[name].standard_error == pytest.approx(spread, rel=0.17)


def test_cells_and_costs_add_up() -> None:
    """The cells of the confusion matrix sum to 1, and a cost is their weighted sum."""
    rows = synthetic_rows(400, seed=3).rows
    cells = realised(rows, confusion_metrics(rows.schema))
    shares = np.array([m.value for m in cells.values()]).reshape(2, 2)
    assert shares.sum() == pytest.approx(1.0)
    cost = realised(rows, ["cost:0,1;5,0"])["cost:0,1;5,0"].value
    assert cost == pytest.approx(shares[0, 1] + 5 * shares[1, 0])


@pytest.mark.parametrize("name", ["acuracy", "cost:1,2", "cost:a,b;c,d", "confusion:0:9", "mae"])
def test_unknown_metrics_are_refused(name: str) -> None:
    """A misspelt metric or a misshapen matrix is a ConfigError."""
    with pytest.raises(ConfigError):
        metric_of(name, synthetic_schema())


def test_undefined_metrics_say_why() -> None:
    """Without a positive row ROC AUC has no value but a reason; without labels nothing has."""
    rows = synthetic_rows(50).rows
    found = realised(replace(rows, label=np.zeros(50, np.int64)), ["roc_auc"])["roc_auc"]
    assert found.value is None
    assert found.note
    assert realised(replace(rows, label=None), ["accuracy"])["accuracy"].note == "no row has a label"


def test_rows_from_a_table_with_absent_and_wrong_columns() -> None:
    """An absent column and unreadable or infinite numbers are missing; binary scores come as two columns."""
    table = pa.table(
        {
            "x": pa.array(["1.5", "oops", "2"]),
            "z": pa.array([1.0, float("inf"), float("nan")]),
            "__prediction": pa.array([0, 1, 1], pa.int16()),
            "__score:1": pa.array([0.2, 0.9, float("nan")]),
        }
    )
    rows = rows_from_table(table, synthetic_schema())
    assert rows.features["x"].isna().tolist() == [False, True, False]
    assert rows.features["z"].isna().tolist() == [False, True, True]
    assert rows.features["region"].isna().all()
    assert rows.scores is not None
    assert rows.scores == pytest.approx(np.array([[0.8, 0.2], [0.1, 0.9], [0.5, 0.5]]))
    assert rows.label is None
