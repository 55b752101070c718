"""Seeded ways to change which rows arrive: covariate shift, label shift, slices; values stay as they were.

The counterpart of `mlhealth.corrupt`. A shift answers with positions of rows, so that features, predictions and labels
can be taken together. A user's own kinds are registered by name with `@register_shift`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from mlhealth.errors import ConfigError, DataError

Positions = NDArray[np.intp]


@dataclass(frozen=True)
class Population:
    """Rows to draw from: features (n, d), and labels (n,) where the shift needs them."""

    features: pd.DataFrame
    label: NDArray[np.generic] | None = None

    def __len__(self) -> int:
        return len(self.features)


Shift = Callable[[Population, int, np.random.Generator], Positions]
"""Given a population, a number of rows and randomness: the positions drawn."""

_SHIFTS: dict[str, Shift] = {}


def register_shift(name: str) -> Callable[[Shift], Shift]:
    """Return a decorator that makes a shift known by `name`; a later one of the same name replaces it."""

    def remember(shift: Shift) -> Shift:
        _SHIFTS[name] = shift
        return shift

    return remember


def shift_kinds() -> Mapping[str, Shift]:
    """Return every known kind of shift by name."""
    return dict(_SHIFTS)


def resample(population: Population, kind: str, rows: int, rng: np.random.Generator) -> Positions:
    """Return `rows` positions of `population` drawn as `kind` says; raises ConfigError for an unknown kind."""
    if kind not in _SHIFTS:
        raise ConfigError(f"no shift kind {kind!r}; known are {', '.join(sorted(_SHIFTS))}")
    return _SHIFTS[kind](population, rows, rng)


def weighted_draw(weight: NDArray[np.float64], rows: int, rng: np.random.Generator) -> Positions:
    """Draw positions with probability proportional to `weight`, without replacement where that many can be had."""
    positive = int((weight > 0).sum())
    return rng.choice(len(weight), rows, replace=positive < rows, p=weight / weight.sum())


def _ranks(column: pd.Series, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return ranks in (0, 1) of a column; categories are ranked in a random order."""
    if pd.api.types.is_numeric_dtype(column):
        ranks = column.fillna(column.median()).rank(pct=True).fillna(0.5)
        return np.asarray(ranks, dtype=np.float64)
    codes, names = pd.factorize(column.fillna("").astype(str), sort=True)
    return np.asarray((rng.permutation(len(names))[codes] + 0.5) / len(names), np.float64)


@register_shift("iid")
def _iid(population: Population, rows: int, rng: np.random.Generator) -> Positions:
    return rng.choice(len(population), rows, replace=len(population) < rows)


@register_shift("tilt")
def _tilt(population: Population, rows: int, rng: np.random.Generator) -> Positions:
    column = population.features.columns[int(rng.integers(population.features.shape[1]))]
    steep = float(rng.choice([-1.0, 1.0]) * rng.uniform(1.5, 4.0))
    return weighted_draw(np.exp(steep * _ranks(population.features[column], rng)), rows, rng)


@register_shift("cluster")
def _cluster(population: Population, rows: int, rng: np.random.Generator) -> Positions:
    ranked = np.column_stack([_ranks(population.features[c], rng) for c in population.features])
    count = min(6, len(np.unique(ranked, axis=0)))
    groups = KMeans(count, n_init=1, random_state=int(rng.integers(2**31))).fit_predict(ranked)
    return weighted_draw(rng.dirichlet(np.full(count, 0.5))[groups] + 0.01, rows, rng)


@register_shift("slice")
def _slice(population: Population, rows: int, rng: np.random.Generator) -> Positions:
    column = population.features.columns[int(rng.integers(population.features.shape[1]))]
    ranks = _ranks(population.features[column], rng)
    start = float(rng.uniform(0.0, 0.7))
    inside = (ranks >= start) & (ranks <= start + 0.3)
    return weighted_draw(np.where(inside, 6.0, 1.0), rows, rng)


@register_shift("label mix")
def _label_mix(population: Population, rows: int, rng: np.random.Generator) -> Positions:
    if population.label is None:
        raise DataError("the shift 'label mix' needs labels; give the population a label array")
    classes, coded = np.unique(population.label, return_inverse=True)
    if len(classes) > max(30, len(population) // 20):
        coded = np.minimum(pd.Series(population.label).rank(pct=True).to_numpy(float) * 5, 4).astype(int)
    size = int(coded.max()) + 1
    mix = 0.05 / size + 0.95 * rng.dirichlet(np.ones(size))
    share = np.bincount(coded, minlength=size) / len(coded)
    return rng.choice(len(coded), rows, replace=True, p=_normalised((mix / share)[coded]))


def _normalised(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(weight / weight.sum(), np.float64)
