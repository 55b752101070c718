"""`python -m benchmarks.alarms`: judge windows of known truth, print the tables, write results and docs."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.alarms import figures, streams
from benchmarks.alarms.judging import Judge
from benchmarks.alarms.judging_records import Judged
from benchmarks.alarms.peers import with_nannyml
from benchmarks.alarms.report import publish
from benchmarks.estimation import tables
from benchmarks.estimation.windows import Window, prepare

DATA = Path(__file__).parents[3] / "shared" / "data"
TABLES = ("adult", "beijing_pm_level", "diabetes130", "elec", "employment_ma", "shoppers")
QUICK = ("adult", "elec")
FULL_AMOUNTS = streams.Amounts(calm=1_000, natural=30, stratum=8, tried=400)
QUICK_AMOUNTS = streams.Amounts(calm=60, natural=8, stratum=3, tried=80)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with tables and datasets.json")
    parser.add_argument("--tables", nargs="*", help="only these tables (classification)")
    parser.add_argument("--primary", default="boosting", help="the model that is watched")
    parser.add_argument("--quick", action="store_true", help="few windows")
    parser.add_argument("--calm", type=int, help="calm windows of either kind per table")
    parser.add_argument("--stratum", type=int, help="lasting treatments per stratum of true loss and table")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/alarms.md too")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    amounts = QUICK_AMOUNTS if wanted.quick else FULL_AMOUNTS
    asked = {name: getattr(wanted, name) for name in ("calm", "stratum") if getattr(wanted, name)}
    amounts = replace(amounts, **asked)
    judged: list[Judged] = []
    limits: dict[str, figures.Limits] = {}
    for name in wanted.tables or (QUICK if wanted.quick else TABLES):
        judge = Judge(prepare(tables.load(wanted.data, name), wanted.primary, wanted.seed), wanted.seed)
        limits[judge.case.reference.schema.model] = judge.limits
        found, has_nannyml = _judge_all(judge, amounts, wanted.seed)
        judged += found
        print(
            f"\nafter {name}: {len(judged)} windows; NannyML {'ran' if has_nannyml else 'did not run'}\n",
            flush=True,
        )
        # After every table: a run that is cut short leaves what it has measured.
        publish(judged, limits, wanted.seed, write_docs=wanted.docs)


def _judge_all(judge: Judge, amounts: streams.Amounts, seed: int) -> tuple[list[Judged], bool]:
    rng = np.random.default_rng([seed, 1])
    groups: list[tuple[tuple[Window, ...], float]] = []
    groups += [((w,), 0.0) for w in streams.calm(judge.case, amounts.calm, rng)]
    groups += [((w,), 0.0) for w in streams.natural(judge.case, amounts.natural)]
    chosen = streams.treatments(judge.case, amounts, judge.reference, rng)
    lasting = [t.loss for t in chosen]
    groups += list(zip(streams.windows(chosen, rng), lasting, strict=True))
    pairs = []
    for number, (group, loss) in enumerate(groups):
        for window in group:
            found = judge(window, number, loss)
            if found is not None:
                pairs.append((window, found) if found.peers else (_bare(window), found))
    return with_nannyml(judge.case, pairs)


def _bare(window: Window) -> Window:
    """Return a window without its rows, which nobody asks for any more: thousands of them would fill the memory."""
    return replace(window, rows=window.rows.take(np.arange(0)))


if __name__ == "__main__":
    main()
