"""A model's own method (`model.predict_proba`, `model.predict`, any function of a data frame) as a scorer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.errors import DataError
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.schema.model_schema import ModelSchema, Task, canonical_text
from mlhealth.scorers.opening import Answer, original_features, read_answer

Model = Callable[[pd.DataFrame], Any]


@dataclass(frozen=True)
class Asked:
    """A callable model and what must be known to read its answers.

    `classes`: the order of its probability columns. `threshold`: from which probability on a binary model
    answers the positive class.
    """

    model: Model
    schema: ModelSchema
    classes: tuple[str, ...]
    threshold: float

    def __call__(self, features: pd.DataFrame) -> Answer:
        """Return (prediction, scores) of canonical `features`; raises DataError where the answer cannot be read."""
        inputs = _inputs(self.model, original_features(features, self.schema))
        try:
            answer = self.model(inputs)
        except Exception as error:
            text = (str(error).splitlines() or [""])[0]
            raise DataError(f"scorer {self.name}: raised {type(error).__name__}: {text}") from error
        if isinstance(answer, pd.DataFrame) and self.schema.prediction in answer.columns:
            return read_answer(answer, len(features), self.schema, self.name)
        values = np.asarray(answer)
        if values.ndim not in {1, 2} or len(values) != len(features):
            asked, shape = len(features), values.shape
            raise DataError(f"scorer {self.name}: was asked about {asked} rows and answered shape {shape}")
        return self._read(values)

    @property
    def name(self) -> str:
        """What messages call the model."""
        return str(getattr(self.model, "__qualname__", type(self.model).__name__))

    def _read(self, values: NDArray[Any]) -> Answer:
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if self.schema.task is Task.REGRESSION or not self._are_probabilities(values):
            frame = pd.DataFrame({self.schema.prediction: self._labels(values)})
            labelled = ModelSchema(**{**vars(self.schema), "scores": ()})
            return read_answer(frame, len(values), labelled, self.name)
        return self._from_probabilities(values.astype(np.float64))

    def _are_probabilities(self, values: NDArray[Any]) -> bool:
        if values.ndim == 2:
            return True
        return self.schema.task is Task.BINARY and values.dtype.kind == "f" and bool(self.schema.scores)

    def _labels(self, values: NDArray[Any]) -> list[Any]:
        if values.ndim == 2:
            raise DataError(f"scorer {self.name}: answered {values.shape[1]} columns where one is expected")
        return list(values.tolist())

    def _from_probabilities(self, values: NDArray[np.float64]) -> Answer:
        scores = np.column_stack([1.0 - values, values]) if values.ndim == 1 else self._ordered(values)
        outside = scores.min(initial=0.0) < -1e-6 or scores.max(initial=1.0) > 1 + 1e-6
        if outside or not np.isfinite(scores).all():
            raise DataError(f"scorer {self.name}: its scores are not probabilities between 0 and 1")
        if self.schema.task is Task.BINARY:
            prediction = (scores[:, 1] >= self.threshold).astype(np.float64)
        else:
            prediction = scores.argmax(axis=1).astype(np.float64)
        return prediction, scores if self.schema.scores else None

    def _ordered(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if values.shape[1] != len(self.classes):
            raise DataError(
                f"scorer {self.name}: answered {values.shape[1]} columns for {len(self.classes)} classes"
            )
        return values[:, [self.classes.index(c) for c in self.schema.classes]]


def callable_scorer(model: Model, schema: ModelSchema, rows: Rows | None = None) -> Scorer:
    """Return the scorer that asks `model`.

    `model` takes a DataFrame of features as the model itself sees them and returns one of: a frame with the schema's
    prediction and score columns; probabilities, (n, k) in the order of its owner's `classes_` (else of
    `schema.classes`) or (n,) of the positive class; predictions, (n,). `rows` are logged rows, from which a binary
    model's threshold is learned; without them it is 0.5.
    """
    owner = getattr(model, "__self__", None)
    known = [canonical_text(c) for c in getattr(owner, "classes_", ())]
    classes = tuple(known) if set(known) == set(schema.classes) else schema.classes
    return Asked(model, schema, classes, _threshold(rows))


def _inputs(model: Model, features: pd.DataFrame) -> Any:
    """Return the features in the order, and the kind, that the model was fitted on where it tells."""
    owner = getattr(model, "__self__", None)
    names = getattr(owner, "feature_names_in_", None)
    if names is not None and set(names) <= set(features.columns):
        return features[list(names)]
    if names is None and getattr(owner, "n_features_in_", None) == features.shape[1]:
        return features.to_numpy()
    return features


def _threshold(rows: Rows | None) -> float:
    """Return the score from which on logged rows were predicted positive; 0.5 where that cannot be told."""
    if rows is None or rows.scores is None or rows.schema.task is not Task.BINARY:
        return 0.5
    positive = rows.prediction == 1
    if positive.all() or not positive.any():
        return 0.5
    below, above = float(rows.scores[~positive, 1].max()), float(rows.scores[positive, 1].min())
    if below >= above or below < 0.5 <= above:
        return 0.5
    return (below + above) / 2
