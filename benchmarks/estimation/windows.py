"""Windows whose truth is known: families of shift and failure, made from one table and one model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmarks.estimation.confirming import CONFIRMING
from benchmarks.estimation.primaries import Primary, fit_primary
from benchmarks.estimation.tables import Table, split
from mlhealth.corrupt import Kind, corrupt, eligible, kinds
from mlhealth.errors import DataError
from mlhealth.estimators.rows import Rows
from mlhealth.schema.model_schema import ModelSchema, Task
from mlhealth.shifts import Population, resample

FAMILIES = ("control", "natural", "covariate", "prior", "corrupt", "combined", "concept")
CHOSEN_ON = ("missing", "unit error", "swapped columns", "noise", "typos")
"""Failure kinds on which design choices were made; every other kind only confirms."""
SEVERITIES = ((0.25, 1), (0.5, 2), (1.0, 3))
"""Fraction of rows and number of columns of a mild, a middling and a severe failure."""


@dataclass(frozen=True)
class Case:
    """One table and one model: what an estimator may see of them, and where windows come from."""

    table: str
    primary: str
    reference: Rows
    train: Rows
    pool: Rows
    production: Rows
    scorer: Primary


@dataclass(frozen=True)
class Window:
    """One window with its truth: `rows` carries the labels, which no estimator is shown."""

    family: str
    kind: str
    columns: tuple[str, ...]
    rows: Rows


def prepare(table: Table, primary: str, seed: int) -> Case:
    """Split the table, fit the model, and ask it about every part."""
    parts = split(len(table.label), np.random.default_rng(seed), ordered=table.ordered)
    model = fit_primary(table, parts.train, primary, seed)

    def rows(index: np.ndarray) -> Rows:
        features = table.features.iloc[index].reset_index(drop=True)
        return ask(table.schema, features, table.label[index], model)

    return Case(
        table.name,
        primary,
        rows(parts.reference),
        rows(parts.train),
        rows(parts.pool),
        rows(parts.production),
        model,
    )


def ask(schema: ModelSchema, features: pd.DataFrame, label: np.ndarray, model: Primary) -> Rows:
    """Return the rows with what the model answers to them."""
    prediction, scores = model(features)
    return Rows(schema, features, prediction, scores, label)


@dataclass(frozen=True)
class Plan:
    """How many windows to make of each family and size, and of which failure kinds."""

    sizes: tuple[int, ...] = (500, 2000)
    per_family: int = 4
    corruptions: tuple[str, ...] = CHOSEN_ON
    seed: int = 0


def windows(case: Case, plan: Plan) -> Iterator[Window]:
    """Make the plan's windows of one case, the same ones for the same plan."""
    rng = np.random.default_rng([plan.seed, len(case.reference)])
    most = min(len(case.pool) * 2 // 3, len(case.production) // 2)
    for size in sorted({min(size, most) for size in plan.sizes}):
        for number in range(plan.per_family):
            yield from _plain(case, size, number, rng)
            yield _concept(case, size, rng)
        yield from _broken(case, size, plan, rng)


def _plain(case: Case, size: int, number: int, rng: np.random.Generator) -> Iterator[Window]:
    population = Population(case.pool.features, case.pool.label)
    for family, kind in (
        ("control", "iid"),
        ("covariate", ("tilt", "cluster")[number % 2]),
        ("prior", "label mix"),
    ):
        yield Window(family, kind, (), case.pool.take(resample(population, kind, size, rng)))
    yield Window("natural", "as it comes", (), _natural(case, size, rng))


def _natural(case: Case, size: int, rng: np.random.Generator) -> Rows:
    start = int(rng.integers(len(case.production) - size + 1))
    return case.production.take(np.arange(start, start + size))


def _concept(case: Case, size: int, rng: np.random.Generator) -> Window:
    """Change the labels in a region of one column, where nobody without labels can see it."""
    rows = case.pool.take(resample(Population(case.pool.features), "iid", size, rng))
    column = rows.features.columns[int(rng.integers(rows.features.shape[1]))]
    codes = (
        pd.Series(rows.features[column]).rank(method="first", pct=True).to_numpy(float)
        if column in rows.schema.numeric
        else rng.random(len(rows))
    )
    inside = codes > rng.uniform(0.3, 0.6)
    assert rows.label is not None
    if rows.schema.task is Task.REGRESSION:
        label = np.where(inside, rows.label * 1.5, rows.label)
    else:
        label = np.where(inside, (rows.label + 1) % len(rows.schema.classes), rows.label)
    return Window("concept", "labels changed", (column,), replace(rows, label=label))


def _broken(case: Case, size: int, plan: Plan, rng: np.random.Generator) -> Iterator[Window]:
    for number, kind in enumerate(usable(case, plan.corruptions)):
        for level, (fraction, columns) in enumerate(SEVERITIES):
            if plan.per_family < 4 and level != number % 3:
                continue
            clean = case.pool.take(resample(Population(case.pool.features), "iid", size, rng))
            yield _break("corrupt", kind, clean, (case, fraction, columns, rng))
        fraction, columns = SEVERITIES[(number + 1) % 3]
        yield _break("combined", kind, _natural(case, size, rng), (case, fraction, columns, rng))


def usable(case: Case, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the failure kinds that this table has columns for."""
    known = known_kinds()
    return tuple(k for k in wanted if len(eligible(case.pool.features, known[k])) >= known[k].at_least)


def known_kinds() -> dict[str, Kind]:
    """Return the library's failure kinds and those that only confirm, by name."""
    return {**kinds(), **CONFIRMING}


def _break(family: str, kind: str, rows: Rows, how: tuple[Case, float, int, np.random.Generator]) -> Window:
    case, fraction, count, rng = how
    what = known_kinds()[kind]
    able = eligible(rows.features, what)
    count = min(max(count, what.at_least), len(able))
    columns = tuple(able[i] for i in np.sort(rng.choice(len(able), count, replace=False)))
    if rows.label is None:
        raise DataError("windows of a benchmark need labels")
    broken = corrupt(rows.features, what, rng=rng, columns=columns, fraction=fraction)
    return Window(family, kind, columns, ask(rows.schema, broken.features, rows.label, case.scorer))
