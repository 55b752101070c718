"""Kinds of fault on which nothing in mlhealth was chosen: they only confirm.

Each treats one column's values where `rows` is true, and says by which of mlhealth's kinds it would rightly be called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Treat = Callable[[pd.Series, Mask], pd.Series]


@dataclass(frozen=True)
class FurtherFault:
    """A fault of one column: `numeric` or of categories, the `names` that would be right for it, what it does."""

    numeric: bool
    names: frozenset[str]
    treat: Treat


def _logarithm(values: pd.Series, rows: Mask) -> pd.Series:
    return values.mask(rows, np.sign(values) * np.log1p(values.abs()))


def _doubled(values: pd.Series, rows: Mask) -> pd.Series:
    return values.mask(rows, 2.0 * values)


def _mean_filled(values: pd.Series, rows: Mask) -> pd.Series:
    return values.mask(rows, float(values.mean()))


def _overflowed(values: pd.Series, rows: Mask) -> pd.Series:
    """Wrap around at the sixth tenth of the column, as a counter that is too small does."""
    low, size = float(values.min()), float(values.quantile(0.6)) - float(values.min())
    return values if size <= 0.0 else values.mask(rows, low + (values - low) % size)


def _reversed(values: pd.Series, rows: Mask) -> pd.Series:
    return values.mask(rows, values.max() + values.min() - values)


def _raised(values: pd.Series, rows: Mask) -> pd.Series:
    return values.mask(rows, values.clip(lower=float(values.quantile(0.6))))


def _placeholder(values: pd.Series, rows: Mask) -> pd.Series:
    return values.mask(rows, 99_999.0)


def _frozen(values: pd.Series, rows: Mask) -> pd.Series:
    """Hold each twentieth value for twenty rows, as a sensor does that is read too seldom."""
    held = values.iloc[np.arange(len(values)) // 20 * 20].to_numpy(copy=True)
    return values.mask(rows, pd.Series(held, index=values.index))


def _cut_short(values: pd.Series, rows: Mask) -> pd.Series:
    return values.mask(rows, values.map(lambda text: text and text[: max(len(text) * 2 // 3, 1)]))


def _codes(values: pd.Series, rows: Mask) -> pd.Series:
    names = {name: f"id_{place}" for place, name in enumerate(sorted(values.dropna().unique()))}
    return values.mask(rows, values.map(names))


def _default(values: pd.Series, rows: Mask) -> pd.Series:
    return values.mask(rows, values.mode().iloc[0])


def _garbled(values: pd.Series, rows: Mask) -> pd.Series:
    return values.mask(rows, values.map(lambda text: text and f"{text[0]}\u00c3\u00a9{text[1:]}"))


def _emptied(values: pd.Series, rows: Mask) -> pd.Series:
    return values.mask(rows, "")


FURTHER = {
    "logarithm": FurtherFault(True, frozenset({"changed values", "unit error"}), _logarithm),
    "doubled": FurtherFault(True, frozenset({"unit error"}), _doubled),
    "filled with the mean": FurtherFault(True, frozenset({"stuck constant"}), _mean_filled),
    "overflowed": FurtherFault(True, frozenset({"changed values"}), _overflowed),
    "reversed scale": FurtherFault(True, frozenset({"changed values", "sign flip"}), _reversed),
    "raised to a least value": FurtherFault(True, frozenset({"clipped"}), _raised),
    "placeholder": FurtherFault(True, frozenset({"zero for missing"}), _placeholder),
    "frozen": FurtherFault(True, frozenset({"stale values", "permuted column"}), _frozen),
    "cut short": FurtherFault(False, frozenset({"typos", "unseen category"}), _cut_short),
    "codes for names": FurtherFault(False, frozenset({"unseen category"}), _codes),
    "default filled in": FurtherFault(False, frozenset({"stuck constant"}), _default),
    "garbled letters": FurtherFault(False, frozenset({"typos", "unseen category"}), _garbled),
    "emptied": FurtherFault(False, frozenset({"unseen category", "missing"}), _emptied),
}
"""By name."""
