"""Windows in which one column is broken, whatever it costs: what attribution is measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.alarms.further_faults import FURTHER
from benchmarks.alarms.streams import ROWS, Truth, generator, labels_of
from benchmarks.estimation.windows import Case, Window, ask, usable
from mlhealth.corrupt import corrupt, eligible, kinds

FRACTIONS = (1.0, 0.6, 0.3)
"""Shares of rows that are broken, in turn."""
LEAST_CHANGED = 0.1
"""Share of a window's values that must differ from what they were: a break of nothing is none."""
DRAWS = 10
"""Draws of column and rows until enough has changed."""
ALIKE = {"stale values": frozenset({"permuted column"}), "zero for missing": frozenset({"stuck constant"})}
"""Kinds that another name fits as well: in windows of independent rows stale values are those of any other row, and
zeros in a column that had some are a constant."""


@dataclass(frozen=True)
class Broken:
    """A window with one broken column, what that cost on the window's own rows, and the names that fit its kind."""

    window: Window
    loss: float
    names: frozenset[str]


def single_kinds(case: Case) -> tuple[str, ...]:
    """Return the kinds of fault that break one column alone and that this table has columns for, chosen ones first."""
    chosen = tuple(k for k in usable(case, sorted(kinds())) if kinds()[k].at_least == 1)
    return chosen + tuple(name for name in FURTHER if _able(case, name))


def broken(case: Case, kind: str, number: int, how: tuple[Truth, int]) -> Broken | None:
    """Return the window of one place; None where no column of the table is changed enough by this kind.

    `how`: what counts as loss, and the seed.
    """
    truth, seed = how
    able, fraction = _able(case, kind), FRACTIONS[number % len(FRACTIONS)]
    rng = generator(seed, f"single {kind}", number)
    for _ in range(DRAWS):
        column = str(rng.choice(able))
        clean = case.pool.take(rng.integers(0, len(case.pool), ROWS))
        features = _treated(clean.features, kind, column, fraction, rng)
        if _changed(clean.features[column], features[column]) < LEAST_CHANGED:
            continue
        rows = ask(clean.schema, features, labels_of(clean), case.scorer)
        names = FURTHER[kind].names if kind in FURTHER else ALIKE.get(kind, frozenset()) | {kind}
        family = "further" if kind in FURTHER else "single"
        return Broken(Window(family, kind, (column,), rows), truth.loss(rows) - truth.loss(clean), names)
    return None


def _able(case: Case, kind: str) -> tuple[str, ...]:
    if kind not in FURTHER:
        return eligible(case.pool.features, kind)
    schema = case.pool.schema
    return tuple(schema.numeric if FURTHER[kind].numeric else schema.categorical)


def _treated(
    clean: pd.DataFrame, kind: str, column: str, fraction: float, rng: np.random.Generator
) -> pd.DataFrame:
    if kind not in FURTHER:
        return corrupt(clean, kind, rng=rng, columns=(column,), fraction=fraction).features
    rows = rng.random(len(clean)) < fraction
    return clean.assign(**{column: FURTHER[kind].treat(clean[column], rows)})


def _changed(before: pd.Series, after: pd.Series) -> float:
    same = (before == after) | (before.isna() & after.isna())
    return float(1.0 - same.mean())
