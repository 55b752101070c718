"""Seeded ways to break or shift a table: for fitting, for benchmarks, and for users who rehearse a failure.

A *corruption* changes the values that a model sees and leaves the true labels as they were (`corrupt`). A *shift*
changes which rows arrive and leaves their values as they were (`resample`). Both come by name; a user's own kinds
are registered with `@register` and `@register_shift`, and are then used wherever kinds are drawn at random.

>>> import numpy as np, pandas as pd
>>> frame = pd.DataFrame({"income": [1.0, 2.0, 3.0, 4.0]})
>>> corrupt(frame, "unit error", rng=np.random.default_rng(0), columns=("income",), fraction=1.0).columns
('income',)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlhealth.errors import ConfigError, DataError

Frame = pd.DataFrame
Mask = NDArray[np.bool_]
Treatment = Callable[[Frame, tuple[str, ...], Mask, np.random.Generator], Frame]
"""Given a private copy of the table, the columns and rows to touch, and randomness: the treated table."""

SELDOM = 0.02
"""A tie-breaking share below which a category counts as rare."""


@dataclass(frozen=True)
class Kind:
    """One kind of corruption: on which columns it works (`numeric`, `categorical`, `any`) and how many it needs."""

    name: str
    treat: Treatment
    works_on: str = "any"
    at_least: int = 1
    whole_rows: bool = False


@dataclass(frozen=True)
class Corrupted:
    """A treated table, and what was done to it."""

    features: Frame
    kind: str
    columns: tuple[str, ...]
    rows: Mask = field(repr=False)


_KINDS: dict[str, Kind] = {}


def register(
    name: str, *, works_on: str = "any", at_least: int = 1, whole_rows: bool = False
) -> Callable[[Treatment], Treatment]:
    """Return a decorator that makes a treatment known by `name`; a later one of the same name replaces it.

    `works_on`: `numeric`, `categorical` or `any` columns. `at_least`: how many columns it needs. `whole_rows`: it
    touches every row, whatever fraction is asked.
    """
    if works_on not in ("numeric", "categorical", "any"):
        raise ConfigError(
            f"corruption kind {name!r}: works_on is {works_on!r}; say numeric, categorical or any"
        )

    def remember(treat: Treatment) -> Treatment:
        _KINDS[name] = Kind(name, treat, works_on, at_least, whole_rows)
        return treat

    return remember


def kinds() -> Mapping[str, Kind]:
    """Return every known kind of corruption by name."""
    return dict(_KINDS)


def eligible(frame: Frame, kind: str | Kind) -> tuple[str, ...]:
    """Return the columns of `frame` that `kind` can touch; raises ConfigError for an unknown kind."""
    wanted = _kind(kind).works_on
    numeric = {c for c in frame.columns if pd.api.types.is_numeric_dtype(frame[c])}
    return tuple(c for c in frame.columns if wanted == "any" or (c in numeric) == (wanted == "numeric"))


def _kind(kind: str | Kind) -> Kind:
    if isinstance(kind, Kind):
        return kind
    if kind not in _KINDS:
        raise ConfigError(f"no corruption kind {kind!r}; known are {', '.join(sorted(_KINDS))}")
    return _KINDS[kind]


def corrupt(
    frame: Frame,
    kind: str | Kind,
    *,
    rng: np.random.Generator,
    columns: Sequence[str] = (),
    fraction: float = 0.5,
) -> Corrupted:
    """Return `frame` with `fraction` of its rows treated by `kind` in `columns` (empty: drawn at random).

    `kind` is a registered kind's name, or a kind of one's own that need not be registered. Numeric columns come as
    float64 with NaN for missing, the others as text with None. Raises DataError where the
    table has too few columns that the kind works on.
    """
    what = _kind(kind)
    able = eligible(frame, what)
    if columns and not set(columns) <= set(able):
        raise DataError(
            f"{what.name} works on {what.works_on} columns only, not on {sorted(set(columns) - set(able))}"
        )
    chosen = tuple(columns) or _draw(able, what.at_least, rng)
    if len(chosen) < what.at_least:
        raise DataError(
            f"{what.name} needs {what.at_least} {what.works_on} columns; the table has {len(chosen)}"
        )
    rows = rng.random(len(frame)) < (1.0 if what.whole_rows else fraction)
    treated = what.treat(frame.copy(), chosen, rows, rng)
    return Corrupted(treated, what.name, chosen, rows)


def _draw(able: tuple[str, ...], at_least: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw at least `at_least` and at most a third of the columns."""
    most = max(at_least, len(able) // 3)
    size = min(len(able), int(rng.integers(at_least, most + 1)))
    return tuple(able[i] for i in np.sort(rng.choice(len(able), size, replace=False)))


def _middle(values: pd.Series, level: float = 0.5) -> float:
    """Return a quantile of a numeric column, 0 where it has no values."""
    return float(values.quantile(level)) if values.notna().any() else 0.0


def _spread(values: pd.Series) -> float:
    """Return the standard deviation of a numeric column, 1 where it has none."""
    deviation = float(np.nanstd(values.to_numpy(float))) if values.notna().any() else 0.0
    return deviation or 1.0


@register("missing")
def _missing(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        numeric = pd.api.types.is_numeric_dtype(frame[column])
        frame[column] = frame[column].mask(rows, np.nan if numeric else None)
    return frame


@register("unit error", works_on="numeric")
def _unit_error(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        factor = float(rng.choice([0.001, 0.01, 0.1, 2.54, 10.0, 100.0, 1000.0]))
        frame.loc[rows, column] = frame.loc[rows, column] * factor
    return frame


@register("sign flip", works_on="numeric")
def _sign_flip(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        frame.loc[rows, column] = -frame.loc[rows, column]
    return frame


@register("noise", works_on="numeric")
def _noise(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        size = float(rng.choice([0.5, 1.0, 3.0])) * _spread(frame[column])
        frame.loc[rows, column] = frame.loc[rows, column] + rng.normal(0.0, size, int(rows.sum()))
    return frame


@register("outliers", works_on="numeric")
def _outliers(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        far = rng.choice([-1.0, 1.0], int(rows.sum())) * rng.uniform(4.0, 12.0, int(rows.sum()))
        frame.loc[rows, column] = _middle(frame[column]) + far * _spread(frame[column])
    return frame


@register("rounding", works_on="numeric")
def _rounding(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        step = 1.5 * _spread(frame[column])
        frame.loc[rows, column] = np.round(frame.loc[rows, column] / step) * step
    return frame


@register("stuck constant")
def _stuck(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        seen = frame[column].dropna()
        if len(seen):
            frame.loc[rows, column] = seen.iloc[int(rng.integers(len(seen)))]
    return frame


@register("swapped columns", works_on="numeric", at_least=2)
def _swapped_numeric(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    one, other = (columns[i] for i in rng.choice(len(columns), 2, replace=False))
    frame.loc[rows, [one, other]] = frame.loc[rows, [other, one]].to_numpy(copy=True)
    return frame


@register("swapped categories", works_on="categorical", at_least=2)
def _swapped_text(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    return _swapped_numeric(frame, columns, rows, rng)


@register("typos", works_on="categorical")
def _typos(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        for category in frame[column].dropna().unique():
            place = int(rng.integers(len(category) + 1))
            wrong = f"{category[:place]}{chr(97 + int(rng.integers(26)))}{category[place:]}"
            frame.loc[rows & (frame[column] == category), column] = wrong
    return frame


@register("unseen category", works_on="categorical")
def _unseen(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        frame.loc[rows, column] = "never seen before"
    return frame


@register("changed case", works_on="categorical")
def _changed_case(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        frame.loc[rows, column] = frame.loc[rows, column].map(lambda t: t and f" {t.swapcase()}")
    return frame


@register("recoded categories", works_on="categorical")
def _recoded(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        names = np.sort(frame[column].dropna().unique())
        frame.loc[rows, column] = frame.loc[rows, column].map(
            dict(zip(names, np.roll(names, 1), strict=True))
        )
    return frame


@register("permuted column")
def _permuted(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        frame.loc[rows, column] = frame.loc[rows, column].to_numpy(copy=True)[
            rng.permutation(int(rows.sum()))
        ]
    return frame


@register("misaligned join", at_least=2)
def _misaligned(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    block = list(columns)
    frame.loc[rows, block] = frame.loc[rows, block].iloc[rng.permutation(int(rows.sum()))].to_numpy()
    return frame


@register("shifted columns", works_on="numeric", at_least=3)
def _shifted(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    block = list(columns)
    frame.loc[rows, block] = frame.loc[rows, [*block[-1:], *block[:-1]]].to_numpy(copy=True)
    return frame


@register("stale values")
def _stale(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    block = list(columns)
    before = np.maximum(np.arange(len(frame)) - int(rng.integers(1, 50)), 0)
    frame.loc[rows, block] = frame[block].iloc[before].to_numpy(copy=True)[rows]
    return frame


@register("clipped", works_on="numeric")
def _clipped(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        ceiling = _middle(frame[column], 0.4)
        frame.loc[rows, column] = frame.loc[rows, column].clip(upper=ceiling)
    return frame


@register("offset", works_on="numeric")
def _offset(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    for column in columns:
        move = float(rng.choice([-2.0, -1.0, 1.0, 2.0])) * _spread(frame[column])
        frame.loc[rows, column] = frame.loc[rows, column] + move
    return frame


@register("zero for missing", works_on="numeric")
def _zeroed(frame: Frame, columns: tuple[str, ...], rows: Mask, rng: np.random.Generator) -> Frame:
    frame.loc[rows, list(columns)] = float(rng.choice([0.0, -1.0, -999.0]))
    return frame
