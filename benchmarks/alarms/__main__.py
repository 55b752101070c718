"""`python -m benchmarks.alarms`: judge windows of known truth, print the tables, write results and docs."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.alarms import figures, streams
from benchmarks.alarms.judging import Judge, Judged
from benchmarks.alarms.report import publish
from benchmarks.estimation import tables
from benchmarks.estimation.windows import Window, prepare

DATA = Path(__file__).parents[3] / "shared" / "data"
TABLES = ("adult", "beijing_pm_level", "diabetes130", "elec", "employment_ma", "shoppers")
QUICK = ("adult", "elec")
FULL_AMOUNTS = streams.Amounts(calm=60, natural=10, breaks=2, shifts=5)
QUICK_AMOUNTS = streams.Amounts(calm=25, natural=6, breaks=1, shifts=3)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with tables and datasets.json")
    parser.add_argument("--tables", nargs="*", help="only these tables (classification)")
    parser.add_argument("--primary", default="boosting", help="the model that is watched")
    parser.add_argument("--quick", action="store_true", help="few windows")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/alarms.md too")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    judged: list[Judged] = []
    limit = 0.0
    for name in wanted.tables or (QUICK if wanted.quick else TABLES):
        judge = Judge(prepare(tables.load(wanted.data, name), wanted.primary, wanted.seed), wanted.seed)
        limit = judge.limits.limit
        judged += _judge_all(judge, QUICK_AMOUNTS if wanted.quick else FULL_AMOUNTS, wanted.seed)
        print(f"\nafter {name}: {len(judged)} windows\n", flush=True)
        # After every table: a run that is cut short leaves what it has measured.
        pages = figures.false_pages(judged, limit, wanted.seed)
        publish(judged, pages, figures.power(judged, limit), write_docs=wanted.docs)


def _judge_all(judge: Judge, amounts: streams.Amounts, seed: int) -> list[Judged]:
    rng = np.random.default_rng([seed, 1])
    groups: list[tuple[Window, ...]] = [(w,) for w in streams.calm(judge.case, amounts.calm, rng)]
    groups += [(w,) for w in streams.natural(judge.case, amounts.natural)]
    groups += [(w,) for w in streams.shifts(judge.case, amounts.shifts, rng)]
    groups += list(streams.breaks(judge.case, amounts.breaks, rng))
    found = [judge(window, number) for number, group in enumerate(groups) for window in group]
    return [j for j in found if j is not None]


if __name__ == "__main__":
    main()
