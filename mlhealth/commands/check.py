"""`mlhealth check`: may this batch pass? For CI and pipelines: an exit code, and JUnit XML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlhealth.check import Checked


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("check")(check)


def check(
    batch: Annotated[Path, typer.Argument(help="Parquet or CSV file: features, prediction, scores.")],
    *,
    baseline: Annotated[Path, typer.Option(help="Folder made by `mlhealth baseline fit`.")],
    rules: Annotated[
        list[Path] | None, typer.Option(help="Rules file (repeat); default the shipped rules for batches.")
    ] = None,
    window_rows: Annotated[
        int | None, typer.Option(help="Rows per window; default the whole batch is one.")
    ] = None,
    window: Annotated[str | None, typer.Option(help="Length of a window in event time: 15m, 1h, 1d.")] = None,
    scorer: Annotated[
        str | None, typer.Option(help="Ask the model: file.py:function, model.onnx or URL.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the result as JUnit XML here.")] = None,
) -> None:
    """Hold a batch against rules: exit code 0 where it passes, 1 where it fails, 2 where it could not be checked."""
    from mlhealth.alerts.rules import CHECK_RULES, load_rules
    from mlhealth.backtest import outcomes
    from mlhealth.baseline.files import load
    from mlhealth.check import check as held
    from mlhealth.check import write_junit
    from mlhealth.clock import parse_duration
    from mlhealth.commands.terminal import warn
    from mlhealth.files.production import Cut, read_production, reports
    from mlhealth.monitor import EvaluationSettings, Evaluator
    from mlhealth.scorers.opening import open_scorer

    rule_set = load_rules(rules or [CHECK_RULES])
    fitted = load(baseline)
    asked = None if scorer is None else open_scorer(scorer, fitted.schema)
    production = read_production(batch, fitted)
    warn(production.warnings)
    width = None if window is None else parse_duration(window)
    is_whole = window_rows is None and width is None
    cut = Cut(max(1, production.batch.rows) if is_whole else window_rows, width)
    evaluator = Evaluator(fitted, EvaluationSettings(scorer=asked))
    checked = held(outcomes(reports(production, evaluator, cut), rule_set), rule_set)
    if junit is not None:
        write_junit(checked, f"{fitted.schema.model} {fitted.schema.version}", junit)
    _tell(checked)
    if any(one.fails for one in checked):
        raise typer.Exit(1)


def _tell(checked: Sequence[Checked]) -> None:
    """Print what is wrong, then one line that sums up."""
    from mlhealth.check import Verdict

    for one in checked:
        if one.verdict is not Verdict.PASSED:
            print(f"{one.verdict:>8}  window {one.window} ({one.span})  {one.rule}: {one.told}")
    windows = len({one.window for one in checked})
    failed = sum(one.fails for one in checked)
    warned = sum(one.verdict is Verdict.WARNED for one in checked)
    verdict = "FAILED" if failed else "passed"
    print(f"{verdict}: {len(checked)} checks on {windows} windows, {failed} failed, {warned} warnings")
