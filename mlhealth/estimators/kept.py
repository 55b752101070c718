"""Labelled reference rows kept by methods that weight them anew for each window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.baseline.record import FittedState
from mlhealth.estimators.encode import Encoder, with_outputs
from mlhealth.estimators.rows import Rows
from mlhealth.schema.model_schema import ModelSchema

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KeptRows:
    """Reference rows as numbers: `matrix` (n, d) of encoded features and outputs, and what was answered and true."""

    encoder: Encoder
    matrix: Floats
    prediction: NDArray[np.int64] | NDArray[np.float64]
    scores: Floats | None
    label: NDArray[np.int64] | NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.prediction)

    @classmethod
    def of(cls, rows: Rows) -> KeptRows:
        """Keep labelled rows."""
        assert rows.label is not None
        encoder = Encoder.of(rows)
        matrix = with_outputs(encoder.matrix(rows.features), rows)
        return cls(encoder, matrix, rows.prediction, rows.scores, rows.label)

    def encoded(self, window: Rows) -> Floats:
        """Return a window's rows as `matrix` has the reference's, (n, d)."""
        return with_outputs(self.encoder.matrix(window.features), window)

    def rows(self, schema: ModelSchema) -> Rows:
        """Return predictions, scores and labels as rows without features."""
        nothing = pd.DataFrame(index=pd.RangeIndex(len(self)))
        return Rows(schema, nothing, self.prediction, self.scores, self.label)

    def state(self, params: Mapping[str, Any]) -> FittedState:
        """Return this, with further parameters, as data."""
        arrays = {"matrix": self.matrix, "prediction": self.prediction, "label": self.label}
        if self.scores is not None:
            arrays["scores"] = self.scores
        return FittedState({**params, "encoder": self.encoder.params()}, arrays)

    @classmethod
    def of_state(cls, state: FittedState) -> KeptRows:
        """Return the rows that `state` was taken from."""
        arrays: Mapping[str, Any] = state.arrays
        encoder = Encoder.of_params(state.params["encoder"])
        return cls(encoder, arrays["matrix"], arrays["prediction"], arrays.get("scores"), arrays["label"])
