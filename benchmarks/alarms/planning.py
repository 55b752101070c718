"""Which windows a run judges, in the order in which a run that is cut short has most of: the plan of one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from functools import lru_cache

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


@dataclass(frozen=True)
class Setting:
    """What windows are made from: a case, what its rows truly lose, a seed; and the losses already measured."""

    case: Case
    truth: streams.Truth
    seed: int
    losses: MutableMapping[str, float]


def plan(setting: Setting, amounts: streams.Amounts) -> Iterator[Planned]:
    """Yield the windows of one table."""
    case, seed = setting.case, setting.seed
    yield from _lasting(setting, amounts)
    yield from _single(setting, amounts)
    for number in range(amounts.natural):
        yield Planned(f"natural/{number}", _natural(case, number, amounts.natural), for_peers=number % 2 == 0)
    for number in range(amounts.calm):
        for kind, make in (("iid", _calm(case, number, seed)), ("in order", _in_order(case, number))):
            yield Planned(f"calm/{kind}/{number}", make, for_peers=number < CALM_ASKED)


def _lasting(setting: Setting, amounts: streams.Amounts) -> Iterator[Planned]:
    @lru_cache(maxsize=2)
    def treated(number: int) -> streams.Treatment:
        return streams.treatment(setting.case, number, setting.truth, setting.seed)

    def loss_of(number: int) -> float:
        if str(number) not in setting.losses:
            setting.losses[str(number)] = treated(number).loss
        return setting.losses[str(number)]

    for number, loss in streams.chosen(amounts, loss_of):
        for repeat in range(streams.REPEATS):
            make = _treated(treated, (number, loss), (repeat, setting.seed))
            yield Planned(f"lasting/{number}/{repeat}", make, for_peers=repeat == 0)


def _single(setting: Setting, amounts: streams.Amounts) -> Iterator[Planned]:
    for number in range(amounts.single):
        for kind in single_breaks.single_kinds(setting.case):
            yield Planned(f"single/{kind}/{number}", _broken(setting, kind, number))


Make = Callable[[], tuple[Window, Known] | None]


def _treated(
    treated: Callable[[int], streams.Treatment], which: tuple[int, float], where: tuple[int, int]
) -> Make:
    number, loss = which
    return lambda: (streams.lasting(treated(number), *where), Known(number, loss))


def _broken(setting: Setting, kind: str, number: int) -> Make:
    def make() -> tuple[Window, Known] | None:
        found = single_breaks.broken(setting.case, kind, number, (setting.truth, setting.seed))
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
