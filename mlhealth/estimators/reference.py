"""What every method keeps of the labelled reference: its size and metrics; and the guards that refuse a poor one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlhealth.errors import DataError
from mlhealth.estimators.base import FitInputs
from mlhealth.estimators.metric_names import metric_of
from mlhealth.estimators.metrics import labelled, realised
from mlhealth.estimators.rows import Rows, answered

LEAST_ROWS = 500
"""Labelled reference rows without which no method is fitted."""
FEW_ERRORS = 100
"""Wrong predictions in the reference below which a model of the errors would be noise."""


@dataclass(frozen=True)
class Reference:
    """The metrics asked for, their values on the reference and why some have none; `rows` and `errors` counted.

    `errors` is the number of wrong predictions, 0 for regression. `notes` say why a metric has no value.
    """

    metrics: tuple[str, ...]
    values: Mapping[str, float | None]
    standard_errors: Mapping[str, float | None]
    rows: int
    errors: int
    notes: Mapping[str, str] = field(default_factory=dict)

    def undefined(self, metric: str) -> str:
        """Return why a metric has no value on the reference, in words."""
        return f"not defined on the reference: {self.notes.get(metric, 'too few rows for it')}"

    @classmethod
    def of(cls, rows: Rows, metrics: tuple[str, ...]) -> Reference:
        """Measure labelled rows."""
        found = realised(rows, metrics)
        wrong = int(np.sum(rows.prediction != rows.label)) if rows.schema.is_classification else 0
        return cls(
            metrics,
            {name: m.value for name, m in found.items()},
            {name: m.standard_error for name, m in found.items()},
            len(rows),
            wrong,
            {name: m.note for name, m in found.items() if m.note is not None},
        )

    def params(self) -> dict[str, Any]:
        """Return this as JSON-able parameters."""
        return {
            "metrics": list(self.metrics),
            "values": dict(self.values),
            "standard_errors": dict(self.standard_errors),
            "rows": self.rows,
            "errors": self.errors,
            "notes": dict(self.notes),
        }

    @classmethod
    def of_params(cls, params: Mapping[str, Any]) -> Reference:
        """Return the reference that `params` was taken from."""
        return cls(
            tuple(params["metrics"]),
            dict(params["values"]),
            dict(params["standard_errors"]),
            int(params["rows"]),
            int(params["errors"]),
            dict(params.get("notes", {})),
        )


def checked(method: str, inputs: FitInputs) -> Rows:
    """Return the labelled reference rows to fit on.

    Raises DataError, saying what to change, where they do not suffice, and ConfigError where a metric is not
    known for the task.
    """
    schema = inputs.reference.schema
    for name in inputs.metrics:
        metric_of(name, schema)
    rows = answered(labelled(inputs.reference))
    if len(rows) < LEAST_ROWS:
        raise DataError(
            f"method {method}: the reference has {len(rows)} labelled rows and at least {LEAST_ROWS} are "
            "needed: give more labelled rows that the model was not trained on"
        )
    if rows.label is not None and schema.is_classification and len(np.unique(rows.label)) < 2:
        only = schema.classes[int(rows.label[0])]
        raise DataError(
            f"method {method}: every reference label is {only!r}: give a reference in which each class occurs"
        )
    if rows.scores is not None and not np.isfinite(rows.scores).all():
        rows = replace(rows, scores=np.nan_to_num(rows.scores, nan=1.0 / rows.scores.shape[1]))
    return rows


def labels(rows: Rows) -> NDArray[np.int64]:
    """Return the class labels of labelled rows, (n,)."""
    assert rows.label is not None
    return rows.label.astype(np.int64)
