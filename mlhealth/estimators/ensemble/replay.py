"""Replay: find what was done to a window's columns, and do it to labelled reference rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.estimators.ensemble.diagnosis import Column, Treated, diagnose
from mlhealth.estimators.ensemble.dictionary import Pair, dictionary
from mlhealth.estimators.ensemble.encoding import Encoding
from mlhealth.estimators.ensemble.expectation import Expectations, correlations
from mlhealth.estimators.ensemble.operators import Source, Values
from mlhealth.estimators.ensemble.screening import TIES, Shares, ties
from mlhealth.estimators.rows import Rows

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Memory:
    """What is remembered of the labelled reference: rows in canonical order, their view, and how columns relate."""

    rows: Rows
    encoding: Encoding
    expectations: Expectations
    scores: Floats

    @classmethod
    def of(cls, rows: Rows) -> Memory:
        """Learn from reference rows (already in canonical order)."""
        encoding = Encoding.of(rows)
        scores = encoding.normal_scores(rows.features)
        return cls(rows, encoding, Expectations.of(scores), scores)

    @cached_property
    def values(self) -> dict[str, Values]:
        """Reference values by column: float64, or object with None."""
        return {c: plain_values(self.rows.features[c], self.numeric(c)) for c in self.encoding.columns}

    @cached_property
    def shares(self) -> Shares:
        """Missing rates, and shares of categories."""
        return Shares.of(self.encoding, self.rows.features)

    @cached_property
    def counts(self) -> dict[str, pd.Series]:
        """How often each category occurs, by categorical column."""
        return {c: self.rows.features[c].value_counts() for c in self.encoding.categorical}

    def numeric(self, column: str) -> bool:
        """Whether a column is numeric."""
        return column in self.encoding.numeric

    def peers(self, column: str) -> dict[str, Values]:
        """Return the values of all columns of the same type."""
        names = self.encoding.numeric if self.numeric(column) else self.encoding.categorical
        return {c: self.values[c] for c in names}


def plain_values(column: pd.Series, numeric: bool) -> Values:
    """Return a column as float64 with NaN, or as object with None for missing."""
    if numeric:
        return column.to_numpy(float)
    values = column.to_numpy(object, copy=True)
    values[column.isna().to_numpy()] = None
    return values


def trusted_columns(memory: Memory, window_scores: Floats, broken: Mask, moved: Floats, rows: float) -> Mask:
    """Return the columns whose ties to one another hold, leaving out `broken` ones and the worst one by one.

    `moved`: how far each column's values have moved (d,); of two columns that lost their tie, the one that moved more
    is the worse.
    """
    trusted = ~broken
    old, new = memory.expectations.tied, correlations(window_scores)
    while trusted.sum() > 2:
        _, loosened = ties(old, new, trusted, rows)
        if not (trusted & (loosened > TIES)).any():
            break
        loose = trusted & (loosened > TIES / 3)
        worst = int(np.argmax(np.where(loose, loosened + moved, -np.inf)))
        trusted[worst] = False
    return trusted


def diagnose_columns(
    memory: Memory, window: Rows, window_scores: Floats, which: Sequence[int], how: tuple[Mask, Floats, int]
) -> list[Treated]:
    """Return what was done to each column in `which`; `how`: trusted columns, reference weights, seed."""
    trusted_mask, weight, seed = how
    trusted = np.flatnonzero(trusted_mask).tolist()
    out = []
    for place in which:
        name = memory.encoding.columns[place]
        numeric = memory.numeric(name)
        source = Source(memory.values[name], memory.peers(name), _ranks(memory.scores[:, place], seed))
        column = Column(
            name,
            source,
            memory.expectations.hint(place, trusted, memory.scores),
            weight,
            plain_values(window.features[name], numeric),
            memory.expectations.hint(place, trusted, window_scores),
        )
        pair = Pair(name, source.values, column.window, source.other)
        out.append(diagnose(column, dictionary(pair), np.random.default_rng([seed, place])))
    return out


def _ranks(scores: Floats, seed: int) -> Floats:
    """Return ranks in (0, 1), ties broken at random."""
    jitter = np.random.default_rng([seed, 17]).normal(0.0, 1e-9, len(scores))
    ranks = np.empty(len(scores))
    ranks[np.argsort(scores + jitter, kind="stable")] = (np.arange(len(scores)) + 0.5) / len(scores)
    return ranks


def treat(memory: Memory, treated: Sequence[Treated], seed: int) -> pd.DataFrame:
    """Return the reference features with every column treated as diagnosed, on the same rows where fractions allow."""
    features = memory.rows.features.copy()
    rng = np.random.default_rng([seed, 1])
    touched = rng.random(len(features))
    shuffle = rng.permutation(len(features))
    for diagnosis in treated:
        if diagnosis.operators:
            features[diagnosis.name] = _treat_column(memory, diagnosis, (touched, shuffle, seed))
    return features


def _treat_column(memory: Memory, diagnosis: Treated, how: tuple[Floats, NDArray[np.intp], int]) -> Values:
    touched, shuffle, seed = how
    place = memory.encoding.columns.index(diagnosis.name)
    values = memory.values[diagnosis.name].copy()
    source = Source(values.copy(), memory.peers(diagnosis.name), _ranks(memory.scores[:, place], seed))
    start = 0.0
    for operator, fraction in diagnosis.operators:
        rows = (touched >= start) & (touched < start + fraction)
        start += fraction
        if operator.kind == "permute":
            moved = source.values[_shuffle_within(rows, shuffle)]
        else:
            moved = operator.apply(source, np.random.default_rng([seed, 2, place]))
        values[rows] = moved[rows]
    return values


def _shuffle_within(rows: Mask, shuffle: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return a permutation of the marked rows among themselves, the same for every column of the same rows."""
    order = np.arange(len(rows))
    order[np.sort(np.flatnonzero(rows))] = shuffle[rows[shuffle]]
    return order
