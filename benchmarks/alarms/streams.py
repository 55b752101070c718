"""Windows by the stream: calm ones, natural ones in order, and lasting treatments that cost from nothing to a lot.

A treatment breaks columns or shifts the mix of rows or labels, the same way in every window. What it costs is measured
on `PROBED` rows of its own, so that the true loss of a treatment is known far better than any window of it could tell;
treatments are then chosen to fill equal strata of true loss, since most breaks drawn at random cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.estimation.windows import Case, Window, ask, usable
from mlhealth.corrupt import corrupt, eligible, kinds
from mlhealth.errors import DataError
from mlhealth.estimators.rows import Rows
from mlhealth.shifts import Population, resample

ROWS = 1_000
"""Rows of every window."""
REPEATS = 3
"""Windows of each lasting treatment."""
PROBED = 3_000
"""Rows on which the true loss of a treatment is measured."""
STRATA = (-1.0, 0.005, 0.02, 0.05, 0.07, 0.15, 1.0)
"""Edges of the strata of true loss."""

Draw = Callable[[int, np.random.Generator], Rows]


@dataclass(frozen=True)
class Amounts:
    """Windows of one case: `calm` of either kind, `natural`; treatments per stratum, and how many are tried."""

    calm: int
    natural: int
    stratum: int
    tried: int


@dataclass(frozen=True)
class Treatment:
    """Something that lasts: `draw` makes windows of it, `loss` is what it truly costs (accuracy, 0 to 1)."""

    family: str
    kind: str
    columns: tuple[str, ...]
    draw: Draw
    loss: float


def calm(case: Case, count: int, rng: np.random.Generator) -> Iterator[Window]:
    """Yield windows like the reference: independent rows first, then rows in their order, which err alike."""
    for _ in range(count):
        yield Window("calm", "iid", (), case.pool.take(rng.integers(0, len(case.pool), ROWS)))
    rows = min(ROWS, len(case.pool) // 2)
    for start in np.linspace(0, len(case.pool) - rows, count).astype(int):
        yield Window("calm", "in order", (), case.pool.take(np.arange(start, start + rows)))


def natural(case: Case, count: int) -> Iterator[Window]:
    """Yield windows of production rows in their order, evenly spread over it."""
    rows = min(ROWS, len(case.production) // 2)
    for start in np.linspace(0, len(case.production) - rows, count).astype(int):
        yield Window("natural", "in order", (), case.production.take(np.arange(start, start + rows)))


def treatments(case: Case, amounts: Amounts, reference: float, rng: np.random.Generator) -> list[Treatment]:
    """Return treatments that fill the strata of true loss as evenly as those tried allow."""
    strata: list[list[Treatment]] = [[] for _ in STRATA[1:]]
    for treatment in _tried(case, amounts.tried, reference, rng):
        place = int(np.searchsorted(STRATA, treatment.loss, "right")) - 1
        if len(strata[place]) < amounts.stratum:
            strata[place].append(treatment)
    return [treatment for stratum in strata for treatment in stratum]


def _tried(case: Case, count: int, reference: float, rng: np.random.Generator) -> Iterator[Treatment]:
    broken = usable(case, sorted(kinds()))
    for number in range(count):
        family, kind, columns, draw = (
            _shift(case, rng) if number % 4 == 0 else _break(case, broken[number % len(broken)], rng)
        )
        probe = draw(PROBED, rng)
        accuracy = float(np.mean(probe.prediction == _labels(probe)))
        yield Treatment(family, kind, columns, draw, reference - accuracy)


def _shift(case: Case, rng: np.random.Generator) -> tuple[str, str, tuple[str, ...], Draw]:
    kind = str(rng.choice(["tilt", "cluster", "label mix"]))
    population = Population(case.pool.features, case.pool.label)
    kept = resample(population, kind, max(PROBED, len(case.pool) // 2), rng)

    def draw(rows: int, own: np.random.Generator) -> Rows:
        return case.pool.take(kept[own.integers(0, len(kept), rows)])

    return ("prior" if kind == "label mix" else "covariate"), kind, (), draw


def _break(case: Case, kind: str, rng: np.random.Generator) -> tuple[str, str, tuple[str, ...], Draw]:
    able = eligible(case.pool.features, kind)
    wanted = max(int(rng.choice([1, 1, 2, 4])), kinds()[kind].at_least)
    places = np.sort(rng.choice(len(able), min(wanted, len(able)), replace=False))
    columns = tuple(able[i] for i in places)
    fraction, seed = float(rng.choice([0.3, 0.6, 1.0])), int(rng.integers(2**31))

    def draw(rows: int, own: np.random.Generator) -> Rows:
        clean = case.pool.take(own.integers(0, len(case.pool), rows))
        # The same seed for every window of a break: a unit error keeps its factor.
        found = corrupt(
            clean.features, kind, rng=np.random.default_rng(seed), columns=columns, fraction=fraction
        )
        return ask(clean.schema, found.features, _labels(clean), case.scorer)

    return "corrupt", kind, columns, draw


def windows(chosen: Sequence[Treatment], rng: np.random.Generator) -> Iterator[tuple[Window, ...]]:
    """Yield the windows of each treatment, together."""
    for t in chosen:
        yield tuple(Window(t.family, t.kind, t.columns, t.draw(ROWS, rng)) for _ in range(REPEATS))


def _labels(rows: Rows) -> np.ndarray:
    if rows.label is None:
        raise DataError("windows of a benchmark need labels")
    return rows.label
