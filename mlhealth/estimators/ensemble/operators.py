"""What may have been done to a column, as data: an operator with its fraction of rows, applied to reference rows.

Each operator says how it is done (`apply`) and what it is in words (`words`). Operators of one column touch disjoint
rows; operators of different columns touch the same rows as far as their fractions allow, as a fault upstream would.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]
Values = NDArray[np.generic]


@dataclass(frozen=True)
class Source:
    """Reference rows to treat: `values` of the column (n,), `other` columns by name, `rank` in (0, 1) of the values."""

    values: Values
    other: dict[str, Values]
    rank: Floats


@dataclass(frozen=True)
class Operator:
    """A treatment of one column: `kind`, `number` (factor, offset, size, constant ...), `donors` to draw from.

    `coupling` in [-1, 1]: how far a drawn value keeps the rank of the value it replaces (Gaussian copula).
    `column`: the column copied by `copy`. `mapping`: category to category for `recode`.
    """

    kind: str
    number: float = 0.0
    column: str = ""
    coupling: float = 0.0
    donors: Values = field(default_factory=lambda: np.zeros(0), repr=False)
    mapping: tuple[tuple[str, str], ...] = ()

    def apply(self, source: Source, rng: np.random.Generator) -> Values:
        """Return the treated values (n,) as if every row were touched."""
        return _APPLY[self.kind](self, source, rng)

    @property
    def named(self) -> bool:
        """Whether this is a definite fault rather than a change of distribution."""
        return self.kind not in ("redraw", "transport")


def _missing(operator: Operator, source: Source, rng: np.random.Generator) -> Values:
    if source.values.dtype == object:
        return np.full(len(source.values), None, dtype=object)
    return np.full(len(source.values), np.nan)


def _scale(operator: Operator, source: Source, rng: np.random.Generator) -> Values:
    return source.values.astype(float) * operator.number


def _offset(operator: Operator, source: Source, rng: np.random.Generator) -> Values:
    return source.values.astype(float) + operator.number


def _noise(operator: Operator, source: Source, rng: np.random.Generator) -> Values:
    return source.values.astype(float) + rng.normal(0.0, operator.number, len(source.values))


def _constant(operator: Operator, source: Source, rng: np.random.Generator) -> Values:
    return np.repeat(operator.donors[:1], len(source.values))


def _ceiling(operator: Operator, source: Source, rng: np.random.Generator) -> Values:
    return np.asarray(np.minimum(source.values.astype(float), operator.number))


def _floor(operator: Operator, source: Source, rng: np.random.Generator) -> Values:
    return np.asarray(np.maximum(source.values.astype(float), operator.number))


def _rounding(operator: Operator, source: Source, rng: np.random.Generator) -> Values:
    return np.round(source.values.astype(float) / operator.number) * operator.number


def _copy(operator: Operator, source: Source, rng: np.random.Generator) -> Values:
    return source.other[operator.column]


def _permute(operator: Operator, source: Source, rng: np.random.Generator) -> Values:
    return source.values[rng.permutation(len(source.values))]


def _redraw(operator: Operator, source: Source, rng: np.random.Generator) -> Values:
    """Draw donors whose rank keeps `coupling` with the rank of the value replaced."""
    donors = operator.donors
    if len(donors) == 0:
        return source.values
    if object in (donors.dtype, source.values.dtype):
        return donors[rng.integers(len(donors), size=len(source.values))]
    rho = operator.coupling
    if abs(rho) >= 1.0:
        place = source.rank if rho > 0 else 1.0 - source.rank
    else:
        mixed = rho * ndtri(source.rank) + np.sqrt(1 - rho**2) * rng.normal(size=len(source.rank))
        place = ndtr(mixed)
    return np.asarray(donors[np.minimum((place * len(donors)).astype(int), len(donors) - 1)])


def _recode(operator: Operator, source: Source, rng: np.random.Generator) -> Values:
    old, new = (np.array(side, dtype=object) for side in zip(*operator.mapping, strict=True))
    place = pd.Index(old, dtype=object).get_indexer(pd.Index(source.values, dtype=object))
    return np.where(place >= 0, new[place], source.values)


_APPLY = {
    "missing": _missing,
    "scale": _scale,
    "offset": _offset,
    "noise": _noise,
    "constant": _constant,
    "ceiling": _ceiling,
    "floor": _floor,
    "rounding": _rounding,
    "copy": _copy,
    "permute": _permute,
    "redraw": _redraw,
    "transport": _redraw,
    "recode": _recode,
}
