"""One numeric view of a table, learnt from the reference: normal scores of every column, in a common scale.

Numeric columns become normal scores of their mid-ranks in the reference, categories the normal score of their rank by
the model's mean output (so that categories the model treats alike lie together). Missing and unseen become 0. The view
does not change under any increasing transformation of a numeric column that is done to reference and window alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
LEAST_OCCURRENCES = 3
"""Reference rows a category needs to be known; rarer ones are treated as unseen, in the reference as in a window."""
EDGE = 1e-3
"""Ranks are kept this far from 0 and 1, so that a normal score never exceeds about 3.1."""


@dataclass(frozen=True)
class Encoding:
    """Reference columns, sorted: `grids` per numeric column (m,), `categories` texts with `positions` in rank."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    grids: tuple[Floats, ...]
    categories: tuple[tuple[str, ...], ...]
    positions: tuple[Floats, ...]

    @classmethod
    def of(cls, reference: Rows) -> Encoding:
        """Learn ranks from reference rows."""
        schema = reference.schema
        grids = tuple(_grid(reference.features[c].to_numpy(float)) for c in schema.numeric)
        output = model_output(reference)
        coded = [_rank_categories(reference.features[c], output) for c in schema.categorical]
        return cls(
            schema.numeric, schema.categorical, grids, tuple(c for c, _ in coded), tuple(p for _, p in coded)
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the view, in order: numeric ones first."""
        return self.numeric + self.categorical

    def normal_scores(self, features: pd.DataFrame, columns: Sequence[str] | None = None) -> Floats:
        """Return the view of `features` (n, d), or of some columns only, in the order given."""
        wanted = self.columns if columns is None else tuple(columns)
        out = np.zeros((len(features), len(wanted)))
        for place, column in enumerate(wanted):
            out[:, place] = self.column(column, features[column])
        return out

    def column(self, name: str, values: pd.Series) -> Floats:
        """Return the normal scores (n,) of one column."""
        if name in self.numeric:
            return self.numeric_column(name, values.to_numpy(float))
        place = self.categorical.index(name)
        codes = pd.Index(self.categories[place], dtype=object).get_indexer(pd.Index(values, dtype=object))
        return np.append(self.positions[place], 0.0)[codes]

    def numeric_column(self, name: str, values: Floats) -> Floats:
        """Return the normal scores (n,) of values of a numeric column."""
        grid = self.grids[self.numeric.index(name)]
        if len(grid) == 0:
            return np.zeros(len(values))
        below, upto = np.searchsorted(grid, values, "left"), np.searchsorted(grid, values, "right")
        score = ndtri(np.clip((below + upto) / (2 * len(grid)), EDGE, 1 - EDGE))
        return np.where(np.isnan(values), 0.0, score)


def model_output(rows: Rows) -> Floats:
    """Return one number per row (n,) that says what the model answered: a log-odds, or the predicted value.

    Multiclass models give the log-odds of the class whose score varies most over the rows' own schema order.
    """
    if not rows.schema.is_classification:
        return rows.prediction.astype(float)
    if rows.scores is None:
        return rows.prediction.astype(float)
    column = (
        rows.scores[:, -1] if rows.scores.shape[1] == 2 else rows.scores @ np.arange(rows.scores.shape[1])
    )
    if rows.scores.shape[1] > 2:
        column = column / (rows.scores.shape[1] - 1)
    clipped = np.clip(column, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))


def _grid(values: Floats) -> Floats:
    return np.sort(values[np.isfinite(values)])


def _rank_categories(column: pd.Series, output: Floats) -> tuple[tuple[str, ...], Floats]:
    """Return the categories by mean output, and the normal score of each one's mid-rank."""
    table = pd.DataFrame({"c": column, "o": output}).dropna()
    if table.empty:
        return (), np.zeros(0)
    grouped = table.groupby("c")["o"].agg(["mean", "size"]).sort_index()
    grouped = grouped[grouped["size"] >= LEAST_OCCURRENCES]
    if grouped.empty:
        return (), np.zeros(0)
    prior, strength = float(table["o"].mean()), 10.0
    smooth = (grouped["mean"] * grouped["size"] + prior * strength) / (grouped["size"] + strength)
    order = np.argsort(smooth.to_numpy(), kind="stable")
    share = grouped["size"].to_numpy(float)[order] / len(table)
    middle = np.cumsum(share) - share / 2
    return tuple(str(c) for c in grouped.index[order]), ndtri(np.clip(middle, EDGE, 1 - EDGE))
