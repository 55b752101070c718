"""`python -m benchmarks.alarms`: judge windows of known truth, print the tables, write results and docs.

Judged windows are kept on disk, by commit: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.alarms import figures, peers, streams
from benchmarks.alarms.judging import Judge
from benchmarks.alarms.judging_records import Judged
from benchmarks.alarms.planning import Planned, Setting, plan
from benchmarks.alarms.recording import Recording
from benchmarks.alarms.report import publish
from benchmarks.estimation import tables
from benchmarks.estimation.windows import Case
from benchmarks.results import ROOT, commit

DATA = Path(__file__).parents[3] / "shared" / "data"
RECORDS = ROOT / ".cache" / "alarms"
TABLES = ("adult", "beijing_pm_level", "compas", "diabetes130", "elec", "employment_ma", "shoppers")
REGRESSION = ("bike_hour", "california_housing", "diamonds")
QUICK = ("adult", "elec")
FULL_AMOUNTS = streams.Amounts(calm=1_000, natural=30, stratum=8, tried=400, single=6)
QUICK_AMOUNTS = streams.Amounts(calm=60, natural=8, stratum=3, tried=80, single=1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark as the command line says."""
    wanted = _parser().parse_args(arguments)
    warnings.filterwarnings("ignore")
    amounts = QUICK_AMOUNTS if wanted.quick else FULL_AMOUNTS
    asked = {name: getattr(wanted, name) for name in ("calm", "stratum", "single") if getattr(wanted, name)}
    amounts = replace(amounts, **asked)
    folder = RECORDS / (wanted.resume or commit().rstrip("+"))
    judged: list[Judged] = []
    limits: dict[str, figures.Limits] = {}
    for name in wanted.tables or (QUICK if wanted.quick else TABLES + REGRESSION):
        recording = Recording(folder, f"{name}-{wanted.primary}-{wanted.seed}")
        if not (wanted.report_only and recording.limits):
            _run(wanted, name, amounts, recording)
        limits[name] = recording.limits
        judged += recording.judged()
    publish(judged, limits, wanted.seed, write_docs=wanted.docs)


def _run(wanted: argparse.Namespace, name: str, amounts: streams.Amounts, recording: Recording) -> None:
    """Judge what is not on record of one table; its baseline is fitted only where something is left to judge."""
    case = streams.case_in_order(tables.load(wanted.data, name), wanted.primary, wanted.seed)
    setting = Setting(case, streams.Truth.of(case.reference), wanted.seed, recording.losses)
    planned = [] if wanted.report_only else list(plan(setting, amounts))
    left = [p for p in planned if p.key not in recording.known]
    if left or not recording.limits:
        judge = Judge(case, wanted.seed)
        recording.keep_fitted(judge.limits)
        _judge(judge, recording, left)
    if not wanted.no_peers:
        _ask_peers(case, recording, planned)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder with tables and datasets.json")
    parser.add_argument("--tables", nargs="*", help="only these tables")
    parser.add_argument("--primary", default="boosting", help="the model that is watched")
    parser.add_argument("--quick", action="store_true", help="few windows of two tables")
    parser.add_argument("--calm", type=int, help="calm windows of either kind per table")
    parser.add_argument("--stratum", type=int, help="lasting treatments per stratum of true loss and table")
    parser.add_argument(
        "--single", type=int, help="windows with one broken column per kind of fault and table"
    )
    parser.add_argument("--no-peers", action="store_true", help="leave NannyML and Evidently out")
    parser.add_argument("--resume", metavar="COMMIT", help="go on with a run of another commit")
    parser.add_argument("--report-only", action="store_true", help="judge nothing, report what is on record")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/alarms.md too")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def _judge(judge: Judge, recording: Recording, left: Sequence[Planned]) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        for one in progress.track(left, description=f"{judge.case.table}: windows"):
            made = one.make()
            recording.keep(one.key, None if made is None else judge(made[0], one.key, made[1]))


def _ask_peers(case: Case, recording: Recording, planned: Sequence[Planned]) -> None:
    """Ask each peer about those of the planned windows that it is to be asked about and has not been."""
    for peer in peers.peers():
        asked = [p for p in planned if p.for_peers and recording.needs(p.key, peer.name)]
        made = {p.key: found[0] for p in asked if (found := p.make()) is not None}
        recording.keep_peers(peers.ask(peer, case, made))


if __name__ == "__main__":
    main()
