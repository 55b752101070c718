"""`python -m benchmarks.estimation`: measure, print the tables and the gate's verdict, write results and docs."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.estimation import measure, nannyml_peer, scoring, tables
from benchmarks.estimation.primaries import PRIMARIES
from benchmarks.estimation.report import publish
from benchmarks.estimation.windows import CHOSEN_ON, Case, Plan, Window, prepare, windows
from mlhealth.commands.terminal import progress_bar
from mlhealth.corrupt import kinds
from mlhealth.schema.model_schema import Task

DATA = Path(__file__).parents[3] / "shared" / "data"
Told = Callable[[str, float], None]
"""Is told a step and the share of all work that is done."""
METHODS = {True: ("cbpe", "mpp_row", "iw", "pape", "sld", "schelter"), False: ("dle", "mpp_row", "shadow")}
"""Methods beside `mpp`, of classifiers and of regressors."""


def main() -> None:
    """Run the benchmark as the command line says."""
    wanted = _arguments()
    warnings.filterwarnings("ignore")
    python = None if wanted.no_peer else nannyml_peer.interpreter()
    if python is None:
        print("NannyML is left out: its environment could not be made, or was not asked for")
    cases = [
        (name, primary)
        for name in wanted.tables or tables.names(wanted.data)
        for primary in _primaries(name, wanted)
    ]
    with progress_bar("estimation") as told:
        parts = [
            _case(name, primary, (python, wanted, _part(told, number, len(cases))))
            for number, (name, primary) in enumerate(cases)
        ]
    found, costs = (pd.concat(side, ignore_index=True) for side in zip(*parts, strict=True))
    publish(found, costs, write=not wanted.quick)


def _part(told: Told, number: int, of: int) -> Told:
    """Return what is told of one case's progress, as a part of all."""
    return lambda step, done: told(step, (number + done) / of)


How = tuple[Path | None, argparse.Namespace, Told]


def _case(name: str, primary: str, how: How) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one case's answers and costs of fitting: those kept by an earlier run, or measured now."""
    python, wanted, told = how
    kept = [wanted.records / f"{name}-{primary}-{part}.parquet" for part in ("answers", "costs")] * bool(
        wanted.records
    )
    if kept and all(path.exists() for path in kept):
        return pd.read_parquet(kept[0]), pd.read_parquet(kept[1])
    told(f"{name}, {primary}", 0.0)
    case = prepare(tables.load(wanted.data, name), primary, wanted.seed)
    made = list(_windows(case, wanted))
    costs: list[dict[str, object]] = []
    found = scoring.frame(list(_measure(case, made, (python, costs, told)))), pd.DataFrame(costs)
    for path, part in zip(kept, found, strict=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.to_parquet(path)
    print(f"{name}, {primary}: {len(made)} windows", flush=True)
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with tables and datasets.json")
    parser.add_argument("--tables", nargs="*", help="only these tables")
    parser.add_argument("--primaries", nargs="*", choices=PRIMARIES, help="only these primary models")
    parser.add_argument("--quick", action="store_true", help="few windows of three tables; writes nothing")
    parser.add_argument("--per-table", type=int, default=3, help="primary models per table")
    parser.add_argument("--per-family", type=int, default=2, help="windows of each family and size")
    parser.add_argument("--no-peer", action="store_true", help="leave NannyML out")
    parser.add_argument(
        "--records", type=Path, help="folder to keep each case's answers in, and to resume from"
    )
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    if wanted.quick:
        wanted.tables = wanted.tables or ["adult", "compas", "bike_hour"]
        wanted.primaries = wanted.primaries or ["boosting"]
    return wanted


def _primaries(table: str, wanted: argparse.Namespace) -> Sequence[str]:
    """Return the primary models of a table: each table starts elsewhere in the list, so that all are used."""
    if wanted.primaries:
        return wanted.primaries  # type: ignore[no-any-return]
    start = tables.names(wanted.data).index(table)
    return [PRIMARIES[(start + i) % len(PRIMARIES)] for i in range(wanted.per_table)]


def _windows(case: Case, wanted: argparse.Namespace) -> Iterator[Window]:
    """Make windows of the failure kinds that choices were made on, then of those that only confirm."""
    others = tuple(k for k in sorted(kinds()) if k not in CHOSEN_ON)
    rng = np.random.default_rng([wanted.seed, sum(map(ord, case.table + case.primary))])
    some = tuple(str(k) for k in rng.choice(others, 3, replace=False))
    sizes = (500,) if wanted.quick else (500, 2000)
    yield from windows(
        case, Plan(sizes, 1 if wanted.quick else wanted.per_family, (*CHOSEN_ON, *some), wanted.seed)
    )


def _measure(
    case: Case, made: Sequence[Window], how: tuple[Path | None, list[dict[str, object]], Told]
) -> Iterator[measure.Record]:
    python, costs, told = how
    known = measure.truths(case, made)
    rng = np.random.default_rng(7)
    for truth in known:
        yield from measure.baselines(truth, rng)
    if python is not None:
        yield from nannyml_peer.ask(python, case, known)
    classify = case.reference.schema.task is not Task.REGRESSION
    asked = METHODS[classify]
    for number, (name, method, live, seconds) in enumerate(measure.fitted(case, asked)):
        costs.append({"table": case.table, "primary": case.primary, "method": name, "fit_seconds": seconds})
        for place, truth in enumerate(known):
            told(f"{case.table}, {case.primary}: {name}", (number + place / len(known)) / (len(asked) + 3))
            yield from measure.ask(truth, name, method, live=live)


if __name__ == "__main__":
    main()
