"""Which windows a run judges, in the order in which a run that is cut short has most of: the plan of one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.alarms import single_breaks, streams
from benchmarks.alarms.judging import Known
from benchmarks.estimation.windows import Case, Window

CALM_ASKED = 10
"""Calm windows of either kind that peers are asked about, besides one of each treatment and each second natural one."""


@dataclass(frozen=True)
class Planned:
    """One window to come: its `key`, and how it is made (None where the table has no such window)."""

    key: str
    make: Callable[[], tuple[Window, Known] | None]
    for_peers: bool = False


def plan(case: Case, amounts: streams.Amounts, reference: float, seed: int) -> Iterator[Planned]:
    """Yield the windows of one table."""
    yield from _lasting(case, amounts, reference, seed)
    yield from _single(case, amounts, seed)
    for number in range(amounts.natural):
        yield Planned(f"natural/{number}", _natural(case, number, amounts.natural), for_peers=number % 2 == 0)
    for number in range(amounts.calm):
        for kind, make in (("iid", _calm(case, number, seed)), ("in order", _in_order(case, number))):
            yield Planned(f"calm/{kind}/{number}", make, for_peers=number < CALM_ASKED)


def _lasting(case: Case, amounts: streams.Amounts, reference: float, seed: int) -> Iterator[Planned]:
    for treatment in streams.treatments(case, amounts, reference, seed):
        for repeat in range(streams.REPEATS):
            key = f"lasting/{treatment.number}/{repeat}"
            yield Planned(key, _treated(treatment, repeat, seed), for_peers=repeat == 0)


def _single(case: Case, amounts: streams.Amounts, seed: int) -> Iterator[Planned]:
    for number in range(amounts.single):
        for kind in single_breaks.single_kinds(case):
            yield Planned(f"single/{kind}/{number}", _broken(case, kind, number, seed))


Make = Callable[[], tuple[Window, Known] | None]


def _treated(treatment: streams.Treatment, repeat: int, seed: int) -> Make:
    known = Known(treatment.number, treatment.loss)
    return lambda: (streams.lasting(treatment, repeat, seed), known)


def _broken(case: Case, kind: str, number: int, seed: int) -> Make:
    def make() -> tuple[Window, Known] | None:
        found = single_breaks.broken(case, kind, number, seed)
        return None if found is None else (found.window, Known(number, found.loss, found.names))

    return make


def _natural(case: Case, number: int, count: int) -> Make:
    return lambda: (streams.natural(case, number, count), Known(number))


def _calm(case: Case, number: int, seed: int) -> Make:
    return lambda: (streams.calm(case, number, seed), Known(number))


def _in_order(case: Case, number: int) -> Make:
    def make() -> tuple[Window, Known]:
        place, window = streams.in_order(case, number)
        return window, Known(place)

    return make
