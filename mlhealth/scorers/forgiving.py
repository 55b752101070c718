"""A scorer for models that refuse a row with a missing value or a category they do not know.

Such a model still stands behind logged rows with gaps, since something in front of it fills them in. Rows that mlhealth
makes up have to be filled in here: with the column's usual value, as most pipelines do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from mlhealth.errors import DataError
from mlhealth.estimators.rows import Rows, Scorer
from mlhealth.scorers.opening import Answer

REFUSED = (
    "the scorer refuses rows with missing values or new categories: where mlhealth makes up such rows, it asks with "
    "the column's usual value in their place"
)


@dataclass
class ForgivingScorer:
    """Asks `scorer`, and once more with gaps filled in where it refuses; the answer depends on the rows asked alone.

    `usual`: per column the median, or the most frequent category. `known`: per categorical column the categories seen.
    `refused`: whether that has happened yet.
    """

    scorer: Scorer
    usual: Mapping[str, object]
    known: Mapping[str, frozenset[object]]
    refused: bool = field(default=False, init=False)

    @classmethod
    def of(cls, scorer: Scorer, rows: Rows) -> ForgivingScorer:
        """Return `scorer` with what is usual in `rows`."""
        numeric = set(rows.schema.numeric)
        usual: dict[str, object] = {}
        known: dict[str, frozenset[object]] = {}
        for name, column in rows.features.items():
            values = column.dropna()
            if name in numeric:
                usual[str(name)] = 0.0 if values.empty else float(values.median())
            elif not values.empty:
                usual[str(name)] = values.mode().iloc[0]
                known[str(name)] = frozenset(values)
        return cls(scorer, usual, known)

    def __call__(self, features: pd.DataFrame) -> Answer:
        """Return (prediction, scores); raises DataError where rows without gaps are refused too."""
        try:
            return self.scorer(features)
        except DataError:
            filled = self._filled(features)
            if filled.equals(features):
                raise
            answer = self.scorer(filled)
        self.refused = True
        return answer

    def _filled(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the features with the usual value where one is missing or of no known category."""
        filled = features.copy()
        for name, usual in self.usual.items():
            column = filled[name]
            gap = ~column.isin(self.known[name]) if name in self.known else column.isna()
            if gap.any():
                filled[name] = column.mask(gap, usual)
        return filled
