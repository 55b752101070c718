"""The names of metrics, with what is known of them before any data: range, direction, need of scores.

| name | task | meaning |
|---|---|---|
| accuracy, balanced_accuracy | classes | |
| precision, recall, f1 | classes | of the positive class (binary), macro (multiclass) |
| roc_auc, average_precision | classes with scores | ditto, one-vs-rest |
| log_loss, brier | classes with scores | brier: of the positive class, or summed |
| confusion:TRUE:PREDICTED | classes | share of all rows of class TRUE that were predicted as PREDICTED |
| cost:0,1;5,0 / value:1,0;-4,2 | classes | mean per row; a line per true class, ";" between lines |
| mae, rmse, mape, r2 | regression | mape is a fraction, over rows whose true value is not 0 |
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlhealth.errors import ConfigError
from mlhealth.schema.model_schema import ModelSchema, Task

INFINITY = float("inf")


@dataclass(frozen=True)
class Metric:
    """What is known of a metric before any data: its range, its direction and whether it needs scores."""

    name: str
    lower: float
    upper: float
    higher_is_better: bool
    needs_scores: bool = False

    @property
    def bounded(self) -> bool:
        """Whether the metric has a greatest value."""
        return self.upper < INFINITY

    @property
    def by_ratio(self) -> bool:
        """Whether the metric is positive without a greatest value, so that ratios matter."""
        return self.lower == 0.0 and not self.bounded


_CLASS_METRICS = (
    Metric("accuracy", 0.0, 1.0, True),
    Metric("roc_auc", 0.0, 1.0, True, needs_scores=True),
    Metric("f1", 0.0, 1.0, True),
    Metric("balanced_accuracy", 0.0, 1.0, True),
    Metric("precision", 0.0, 1.0, True),
    Metric("recall", 0.0, 1.0, True),
    Metric("average_precision", 0.0, 1.0, True, needs_scores=True),
    Metric("log_loss", 0.0, INFINITY, False, needs_scores=True),
    Metric("brier", 0.0, 2.0, False, needs_scores=True),
)
_REGRESSION_METRICS = (
    Metric("mae", 0.0, INFINITY, False),
    Metric("rmse", 0.0, INFINITY, False),
    Metric("mape", 0.0, INFINITY, False),
    Metric("r2", -INFINITY, 1.0, True),
)


def default_metrics(schema: ModelSchema) -> tuple[str, ...]:
    """Return the metrics estimated unless the user names others: all that the schema's outputs allow."""
    if schema.task is Task.REGRESSION:
        return tuple(m.name for m in _REGRESSION_METRICS)
    return tuple(m.name for m in _CLASS_METRICS if schema.scores or not m.needs_scores)


def metric_of(name: str, schema: ModelSchema) -> Metric:
    """Return what is known of the metric called `name`; raises ConfigError where the task has none such."""
    family = _REGRESSION_METRICS if schema.task is Task.REGRESSION else _CLASS_METRICS
    for metric in family:
        if metric.name == name:
            binary_brier = name == "brier" and schema.task is Task.BINARY
            return replace(metric, upper=1.0) if binary_brier else metric
    if schema.is_classification and name.startswith("confusion:"):
        confusion_cell(name, schema)
        return Metric(name, 0.0, 1.0, True)
    if schema.is_classification and name.startswith(("cost:", "value:")):
        matrix = cost_matrix(name, schema)
        return Metric(name, float(matrix.min()), float(matrix.max()), name.startswith("value:"))
    known = ", ".join(m.name for m in family)
    raise ConfigError(f"metric {name!r} is not known for a {schema.task} model: use one of {known}")


def confusion_cell(name: str, schema: ModelSchema) -> tuple[int, int]:
    """Return the (true, predicted) class indices of a metric `confusion:TRUE:PREDICTED`."""
    for i, true in enumerate(schema.classes):
        for j, predicted in enumerate(schema.classes):
            if name == f"confusion:{true}:{predicted}":
                return i, j
    raise ConfigError(f"metric {name!r} names no pair of the classes {', '.join(schema.classes)}")


def confusion_metrics(schema: ModelSchema) -> tuple[str, ...]:
    """Return the names of all cells of the confusion matrix, row by row (a row is a true class)."""
    return tuple(f"confusion:{true}:{predicted}" for true in schema.classes for predicted in schema.classes)


def cost_matrix(name: str, schema: ModelSchema) -> NDArray[np.float64]:
    """Return the matrix of a metric `cost:...` or `value:...`, (true, predicted).

    Raises ConfigError where it is misshapen.
    """
    k = len(schema.classes)
    try:
        rows = [[float(cell) for cell in line.split(",")] for line in name.split(":", 1)[1].split(";")]
    except ValueError:
        rows = []
    if [len(row) for row in rows] != [k] * k or not all(np.isfinite(cell) for row in rows for cell in row):
        raise ConfigError(
            f"metric {name!r}: give {k} lines of {k} numbers, as cost:0,1;5,0 (a line per true class)"
        )
    return np.array(rows, dtype=np.float64).reshape(k, k)
