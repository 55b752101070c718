"""`Rows`: what an estimator sees of reference or window: plain columns, row for row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.schema import ModelSchema


@dataclass(frozen=True)
class Rows:
    """Rows of one model version, reference or window.

    `features`: DataFrame, (n, d), schema order; numeric columns float64 with NaN for missing (never infinite),
    categorical and boolean ones `object` of canonical text with None for missing.
    `prediction`: (n,) class index (int) or predicted value (float). `scores`: (n, k) probabilities over
    `schema.classes`, rows summing to 1, or None. `label`: as `prediction`, or None.
    """

    schema: ModelSchema
    features: pd.DataFrame
    prediction: NDArray[np.int64] | NDArray[np.float64]
    scores: NDArray[np.float64] | None = None
    label: NDArray[np.int64] | NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.prediction)

    def take(self, index: NDArray[np.intp]) -> Self:
        """Return the rows at the given positions."""
        return replace(
            self,
            features=self.features.iloc[index].reset_index(drop=True),
            prediction=self.prediction[index],
            scores=None if self.scores is None else self.scores[index],
            label=None if self.label is None else self.label[index],
        )


Scorer = Callable[[pd.DataFrame], tuple[NDArray[np.float64], NDArray[np.float64] | None]]
"""Asks the deployed model: features as in `Rows.features` in, (prediction, scores) as in `Rows` out."""
