"""`python -m benchmarks.estimation`: measure, print the tables and the gate's verdict, write results and docs."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.estimation import measure, nannyml_peer, scoring, tables
from benchmarks.estimation.confirming import CONFIRMING
from benchmarks.estimation.generated import GENERATED
from benchmarks.estimation.primaries import PRIMARIES
from benchmarks.estimation.report import CONFIRMATION, USUAL, publish
from benchmarks.estimation.windows import CHOSEN_ON, Case, Plan, Window, prepare, windows
from mlhealth.commands.terminal import progress_bar
from mlhealth.corrupt import kinds
from mlhealth.schema.model_schema import Task

DATA = Path(__file__).parents[3] / "shared" / "data"
Told = Callable[[str, float], None]
"""Is told a step and the share of all work that is done."""
METHODS = {True: ("cbpe", "mpp_row", "iw", "pape", "sld", "schelter"), False: ("dle", "mpp_row", "shadow")}
"""Methods beside `mpp`, of classifiers and of regressors."""
CONFIRMED_ON = ("diabetes130", "employment_ma")
"""Real tables on which no choice was made."""
PARTS = {False: USUAL, True: CONFIRMATION}
"""What is published, by whether the run confirms."""


def main() -> None:
    """Run the benchmark as the command line says."""
    wanted = _arguments()
    warnings.filterwarnings("ignore")
    python = None if wanted.no_peer else nannyml_peer.interpreter()
    if python is None:
        print("NannyML is left out: its environment could not be made, or was not asked for")
    cases = [(name, primary) for name in wanted.tables for primary in _primaries(name, wanted)]
    cases = [case for case in cases if not wanted.recorded or all(p.exists() for p in _kept(*case, wanted))]
    with progress_bar("estimation") as told:
        parts = [
            _case(name, primary, (python, wanted, _part(told, number, len(cases))))
            for number, (name, primary) in enumerate(cases)
        ]
    found, costs = (pd.concat(side, ignore_index=True) for side in zip(*parts, strict=True))
    publish(found, costs, PARTS[wanted.confirm], write=not wanted.quick)


def _part(told: Told, number: int, of: int) -> Told:
    """Return what is told of one case's progress, as a part of all."""
    return lambda step, done: told(step, (number + done) / of)


How = tuple[Path | None, argparse.Namespace, Told]


def _case(name: str, primary: str, how: How) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one case's answers and costs of fitting: those kept by an earlier run, or measured now."""
    python, wanted, told = how
    kept = _kept(name, primary, wanted)
    if kept and all(path.exists() for path in kept):
        return pd.read_parquet(kept[0]), pd.read_parquet(kept[1])
    told(f"{name}, {primary}", 0.0)
    table = GENERATED[name](wanted.seed) if name in GENERATED else tables.load(wanted.data, name)
    case = prepare(table, primary, wanted.seed)
    made = list(_windows(case, wanted))
    costs: list[dict[str, object]] = []
    found = scoring.frame(list(_measure(case, made, (python, costs, told)))), pd.DataFrame(costs)
    for path, part in zip(kept, found, strict=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.to_parquet(path)
    print(f"{name}, {primary}: {len(made)} windows", flush=True)
    return found


def _kept(name: str, primary: str, wanted: argparse.Namespace) -> list[Path]:
    """Return where a case's answers and costs are kept, none where they are not: by all that decides its windows."""
    if wanted.records is None:
        return []
    sort = "confirm" if wanted.confirm else "quick" if wanted.quick else "usual"
    stem = f"{name}-{primary}-{sort}-{wanted.per_family}-{wanted.seed}"
    return [wanted.records / f"{stem}-{part}.parquet" for part in ("answers", "costs")]


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
    parser.add_argument(
        "--recorded", action="store_true", help="publish what the records hold, measure nothing"
    )
    parser.add_argument(
        "--confirm",
        action="store_true",
        help="failure kinds and tables written after the estimators were frozen",
    )
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    if wanted.recorded and wanted.records is None:
        parser.error("--recorded needs --records FOLDER")
    if wanted.quick:
        wanted.tables = wanted.tables or ["adult", "compas", "bike_hour"]
        wanted.primaries = wanted.primaries or ["boosting"]
    if wanted.confirm:
        wanted.tables = wanted.tables or [*GENERATED, *CONFIRMED_ON]
    wanted.tables = wanted.tables or tables.names(wanted.data)
    return wanted


def _primaries(table: str, wanted: argparse.Namespace) -> Sequence[str]:
    """Return the primary models of a table: each table starts elsewhere in the list, so that all are used."""
    if wanted.primaries:
        return wanted.primaries  # type: ignore[no-any-return]
    start = [*tables.names(wanted.data), *GENERATED].index(table)
    return [PRIMARIES[(start + i) % len(PRIMARIES)] for i in range(wanted.per_table)]


def _windows(case: Case, wanted: argparse.Namespace) -> Iterator[Window]:
    """Make windows of the failure kinds that choices were made on, then of those that only confirm."""
    if wanted.confirm:
        yield from windows(
            case, Plan(per_family=wanted.per_family, corruptions=tuple(CONFIRMING), seed=wanted.seed)
        )
        return
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
