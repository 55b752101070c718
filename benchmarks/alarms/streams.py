"""Windows by the stream: calm ones, natural ones in order, and breaks that last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.estimation.windows import Case, Window, ask, usable
from mlhealth.corrupt import corrupt, eligible, kinds
from mlhealth.errors import DataError
from mlhealth.estimators.rows import Rows
from mlhealth.shifts import Population, resample

ROWS = 500
"""Rows of every window."""
REPEATS = 3
"""Windows of each lasting break."""


@dataclass(frozen=True)
class Amounts:
    """How many windows to make of one case: `calm` of either kind, `breaks` of each failure kind, `shifts` of each."""

    calm: int
    natural: int
    breaks: int
    shifts: int


def calm(case: Case, count: int, rng: np.random.Generator) -> Iterator[Window]:
    """Yield windows like the reference: independent rows first, then rows in their order, which err alike."""
    for _ in range(count):
        yield Window("calm", "iid", (), case.pool.take(rng.integers(0, len(case.pool), ROWS)))
    for start in np.linspace(0, len(case.pool) - ROWS, count).astype(int):
        yield Window("calm", "in order", (), case.pool.take(np.arange(start, start + ROWS)))


def natural(case: Case, count: int) -> Iterator[Window]:
    """Yield windows of production rows in their order, evenly spread over it."""
    starts = np.linspace(0, len(case.production) - ROWS, count).astype(int)
    for start in starts:
        yield Window("natural", "in order", (), case.production.take(np.arange(start, start + ROWS)))


def shifts(case: Case, count: int, rng: np.random.Generator) -> Iterator[Window]:
    """Yield windows whose mix of rows or of labels is another."""
    population = Population(case.pool.features, case.pool.label)
    for family, kind in (("covariate", "tilt"), ("covariate", "cluster"), ("prior", "label mix")):
        for _ in range(count):
            yield Window(family, kind, (), case.pool.take(resample(population, kind, ROWS, rng)))


def breaks(case: Case, count: int, rng: np.random.Generator) -> Iterator[tuple[Window, ...]]:
    """Yield lasting breaks of the input, each as windows with other rows and the same treatment.

    Every other break is of one column. Fractions of rows and columns go from mild to severe.
    """
    for kind in usable(case, sorted(kinds())):
        able = eligible(case.pool.features, kind)
        for number in range(count):
            wanted = 1 if number % 2 == 0 else 2
            size = min(max(wanted, kinds()[kind].at_least), len(able))
            columns = tuple(able[i] for i in np.sort(rng.choice(len(able), size, replace=False)))
            treatment = (kind, columns, (0.3, 1.0)[number // 2 % 2], int(rng.integers(2**31)))
            yield tuple(_broken(case, treatment, rng) for _ in range(REPEATS))


def _broken(
    case: Case, treatment: tuple[str, tuple[str, ...], float, int], rng: np.random.Generator
) -> Window:
    kind, columns, fraction, seed = treatment
    rows: Rows = case.pool.take(rng.integers(0, len(case.pool), ROWS))
    if rows.label is None:
        raise DataError("windows of a benchmark need labels")
    # The same seed for every window of a break: a unit error keeps its factor.
    found = corrupt(rows.features, kind, rng=np.random.default_rng(seed), columns=columns, fraction=fraction)
    return Window("corrupt", kind, columns, ask(rows.schema, found.features, rows.label, case.scorer))
