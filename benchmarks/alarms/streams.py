"""Windows by the stream: calm ones, natural ones in order, lasting treatments, and single columns broken once.

A treatment breaks columns or shifts the mix of rows or labels once, in all rows of the pool; its windows are drawn from
those. What it costs is measured on all of them too, far better than any window of it could tell; treatments are then
chosen to fill equal strata of true loss, since most breaks drawn at random cost nothing.

Every window is drawn by a generator of its own, seeded by its place in its stream: a longer run begins with the
windows of a shorter one, and a run that was cut short goes on where it ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.estimation.tables import Table, split
from benchmarks.estimation.windows import Case, Window, ask, prepare, usable
from mlhealth.corrupt import corrupt, eligible, kinds
from mlhealth.errors import DataError
from mlhealth.estimators.metrics import realised
from mlhealth.estimators.rows import Rows
from mlhealth.objective import Objective
from mlhealth.schema.model_schema import Task
from mlhealth.shifts import Population, resample

ROWS = 1_000
"""Rows of every window."""
REPEATS = 3
"""Windows of each lasting treatment."""
SHIFTED = 3_000
"""Rows that a shift of the mix keeps at least."""
STRATA = (-np.inf, 0.005, 0.02, 0.05, 0.07, 0.15, np.inf)
"""Edges of the strata of true loss."""
TOLERANCE = 0.05
"""Losses are told so that this much is the tolerance: points of accuracy, or four points of mean absolute error."""
GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
"""Multiples of it, less their whole parts, fill an interval evenly however many are taken."""


@dataclass(frozen=True)
class Amounts:
    """Windows of one case: `calm` of either kind, `natural`, a `single` broken column by each kind of fault.

    `stratum`: treatments per stratum of true loss; `tried`: how many are tried for it.
    """

    calm: int
    natural: int
    stratum: int
    tried: int
    single: int


@dataclass(frozen=True)
class Treatment:
    """Something that lasts: the `rows` it leaves, of which windows are drawn, and its true `loss` (see `Truth`)."""

    number: int
    family: str
    kind: str
    columns: tuple[str, ...]
    rows: Rows
    loss: float


@dataclass(frozen=True)
class Truth:
    """What rows truly lose: of accuracy, or of mean absolute error as a share of the reference's."""

    objective: Objective
    reference: float

    @classmethod
    def of(cls, reference: Rows) -> Truth:
        """Return the measure of a task, with the reference's own value."""
        metric = "mae" if reference.schema.task is Task.REGRESSION else "accuracy"
        return cls(Objective.of(metric, reference.schema), _value(reference, metric))

    def loss(self, rows: Rows) -> float:
        """Return what labelled rows lose, so that a loss of the tolerance is `TOLERANCE`."""
        return self.of_value(_value(rows, self.objective.metric))

    def of_value(self, value: float) -> float:
        """Return the loss that a value of the metric is."""
        return self.objective.loss(value, self.reference) * self.unit

    @property
    def unit(self) -> float:
        """Loss per unit of the objective's own."""
        return TOLERANCE / self.objective.tolerance


def _value(rows: Rows, metric: str) -> float:
    found = realised(rows, (metric,))[metric].value
    if found is None:
        raise DataError("windows of a benchmark need labels")
    return found


def case_in_order(table: Table, primary: str, seed: int) -> Case:
    """Return a case whose reference and pool are in the table's own order, as a user would give them."""
    case, parts = prepare(table, primary, seed), split(len(table.label), np.random.default_rng(seed))
    return replace(
        case,
        reference=case.reference.take(np.argsort(parts.reference)),
        pool=case.pool.take(np.argsort(parts.pool)),
    )


def generator(seed: int, stream: str, *place: int) -> np.random.Generator:
    """Return the generator of one place in a stream."""
    return np.random.default_rng([seed, *stream.encode(), *place])


def calm(case: Case, number: int, seed: int) -> Window:
    """Return a window of independent rows like the reference."""
    rows = generator(seed, "calm", number).integers(0, len(case.pool), ROWS)
    return Window("calm", "iid", (), case.pool.take(rows))


def in_order(case: Case, number: int) -> tuple[float, Window]:
    """Return a window of consecutive rows of the reference's own time, and its place from 0 to 1.

    Windows of neighbouring places overlap: they err alike.
    """
    place = (number + 1) * GOLDEN % 1.0
    return place, Window("calm", "in order", (), _stretch(case.pool, place))


def natural(case: Case, number: int, count: int) -> Window:
    """Return one of `count` windows of production rows in their order, evenly spread over it."""
    return Window("natural", "in order", (), _stretch(case.production, number / max(count - 1, 1)))


def _stretch(rows: Rows, place: float) -> Rows:
    size = min(ROWS, len(rows) // 2)
    start = int(place * (len(rows) - size))
    return rows.take(np.arange(start, start + size))


def chosen(amounts: Amounts, loss_of: Callable[[int], float]) -> list[tuple[int, float]]:
    """Return numbers and true losses of treatments that fill the strata of loss as evenly as those tried allow."""
    strata: list[list[tuple[int, float]]] = [[] for _ in STRATA[1:]]
    for number in range(amounts.tried):
        loss = loss_of(number)
        stratum = strata[int(np.searchsorted(STRATA, loss, "right")) - 1]
        if len(stratum) < amounts.stratum:
            stratum.append((number, loss))
        if all(len(stratum) >= amounts.stratum for stratum in strata):
            break
    return [one for stratum in strata for one in stratum]


def treatment(case: Case, number: int, truth: Truth, seed: int) -> Treatment:
    """Return one treatment, the same one for the same number; one in four is a shift, the others are breaks."""
    rng = generator(seed, "treatment", number)
    broken = usable(case, sorted(kinds()))
    family, kind, columns, rows = (
        _shift(case, rng) if number % 4 == 0 else _break(case, broken[number % len(broken)], rng)
    )
    return Treatment(number, family, kind, columns, rows, truth.loss(rows))


def lasting(treated: Treatment, repeat: int, seed: int) -> Window:
    """Return one window of a treatment."""
    rng = generator(seed, "lasting", treated.number, repeat)
    rows = treated.rows.take(rng.integers(0, len(treated.rows), ROWS))
    return Window(treated.family, treated.kind, treated.columns, rows)


def _shift(case: Case, rng: np.random.Generator) -> tuple[str, str, tuple[str, ...], Rows]:
    kind = str(rng.choice(["tilt", "cluster", "label mix"]))
    population = Population(case.pool.features, case.pool.label)
    kept = resample(population, kind, max(SHIFTED, len(case.pool) // 2), rng)
    return ("prior" if kind == "label mix" else "covariate"), kind, (), case.pool.take(kept)


def _break(case: Case, kind: str, rng: np.random.Generator) -> tuple[str, str, tuple[str, ...], Rows]:
    able = eligible(case.pool.features, kind)
    wanted = max(int(rng.choice([1, 1, 2, 4])), kinds()[kind].at_least)
    places = np.sort(rng.choice(len(able), min(wanted, len(able)), replace=False))
    columns = tuple(able[i] for i in places)
    fraction = float(rng.choice([0.3, 0.6, 1.0]))
    found = corrupt(case.pool.features, kind, rng=rng, columns=columns, fraction=fraction)
    return "corrupt", kind, columns, ask(case.pool.schema, found.features, labels_of(case.pool), case.scorer)


def labels_of(rows: Rows) -> np.ndarray:
    """Return the labels that every window of a benchmark has."""
    if rows.label is None:
        raise DataError("windows of a benchmark need labels")
    return rows.label
