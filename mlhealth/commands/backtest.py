"""`mlhealth backtest`: what the rules would have told about past windows, and whether that was right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlhealth.commands.estimate import Format

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlhealth.backtest import Outcome
    from mlhealth.objective import Objective
    from mlhealth.records import Alert

DEFAULT_ROWS = 2_000
"""Rows per window where the user names neither rows nor a duration."""
SHOWN_REASONS = 8
"""Reasons printed under an alarm."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("backtest")(backtest)


def backtest(
    prod: Annotated[
        Path, typer.Argument(help="Parquet or CSV file of past rows; a label column is used if there.")
    ],
    *,
    baseline: Annotated[Path, typer.Option(help="Folder made by `mlhealth baseline fit`.")],
    rules: Annotated[
        list[Path] | None, typer.Option(help="Rules file (repeat); default the shipped rules.")
    ] = None,
    window_rows: Annotated[int | None, typer.Option(help=f"Rows per window; default {DEFAULT_ROWS}.")] = None,
    window: Annotated[str | None, typer.Option(help="Length of a window in event time: 15m, 1h, 1d.")] = None,
    scorer: Annotated[
        str | None, typer.Option(help="Ask the model: file.py:function, model.onnx or URL.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="Estimation method; default the best fitted.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Judge as the service would by this mlhealth.yaml.")
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="For people, or JSON lines.")] = Format.TABLE,
) -> None:
    """Replay past windows through the rules: when it would have alarmed, why, and the truth beside it."""
    from dataclasses import replace

    from mlhealth.alerts.rules import DEFAULT_RULES, load_rules
    from mlhealth.backtest import outcomes
    from mlhealth.baseline.files import load
    from mlhealth.clock import parse_duration
    from mlhealth.commands.terminal import warn
    from mlhealth.config.service import load as load_config
    from mlhealth.configured import settings_of
    from mlhealth.files.production import Cut, Judging, read_production, reports
    from mlhealth.monitor import EvaluationSettings, Evaluator
    from mlhealth.scorers.opening import open_scorer

    width = None if window is None else parse_duration(window)
    cut = Cut(window_rows if window_rows is not None or width is not None else DEFAULT_ROWS, width)
    rule_set = load_rules(rules or [DEFAULT_RULES])
    fitted = load(baseline)
    asked = None if scorer is None else open_scorer(scorer, fitted.schema)
    block = None if config is None else load_config(config).model(fitted.schema.model)
    settings = EvaluationSettings() if block is None else settings_of(block, fitted)
    evaluator = Evaluator(fitted, replace(settings, method=method, scorer=asked))
    judging = None if block is None else Judging.configured(fitted, block, cut)
    production = read_production(prod, fitted)
    warn([*production.warnings, *(() if judging is None else judging.remarks)])
    done = list(outcomes(reports(production, evaluator, cut, judging), rule_set))
    if output is Format.JSON:
        _print_json(done, evaluator.objective)
    else:
        _print_story(done, evaluator.objective)


def _print_json(done: list[Outcome], objective: Objective) -> None:
    import json
    from dataclasses import asdict

    from mlhealth.backtest import truth
    from mlhealth.estimate_json import report_to_dict

    for outcome in done:
        item = outcome.item
        data = report_to_dict(item.report, window=item.window, start=item.start, end=item.end)
        data["alerts"] = [asdict(alert) for alert in outcome.transitions]
        data["retraining"] = [{"service": r.service, "reason": r.reason} for r in outcome.requests]
        print(json.dumps(data, allow_nan=False, ensure_ascii=False))
    known = truth(done, objective)
    summary = {
        "windows": len(done),
        "alarms": sum(len(o.fired) for o in done),
        "truth": known and asdict(known),
    }
    print(json.dumps({"summary": summary}, allow_nan=False))


def _print_story(done: list[Outcome], objective: Objective) -> None:
    from rich.console import Console

    from mlhealth.backtest import truth

    console = Console(highlight=False, soft_wrap=True)
    for outcome in done:
        _print_window(console.print, outcome, objective.metric)
    fired = [alert for outcome in done for alert in outcome.fired]
    asked = [request for outcome in done for request in outcome.requests]
    console.print(f"\n{len(done)} windows, {len(fired)} alarms, {len(asked)} retraining requests")
    notes = sorted({note for outcome in done for note in outcome.notes})
    for note in notes:
        console.print(f"note: {note}", markup=False)
    known = truth(done, objective)
    if known is None:
        console.print("no labels in this file: the truth is not known")
        return
    console.print(
        f"{known.metric} against {known.windows} windows with labels: mean absolute error {known.error:.3f}, "
        f"the 90 % interval held the truth in {known.coverage:.0%}"
    )
    console.print(
        f"labels show a loss beyond the tolerance in {known.fallen} windows, of which {known.fallen_critical} were "
        f"critical; {known.sound_critical} more were critical without such a loss"
    )


def _print_window(say: Callable[[str], None], outcome: Outcome, primary: str) -> None:
    from rich.markup import escape

    from mlhealth.commands.terminal import STYLES, number

    report = outcome.item.report
    estimate = report.estimates.get(primary)
    name = f"  {report.key.segment}" if report.key.segment else ""
    start = str(outcome.item.start)[:16].replace("T", " ")
    line = f"{outcome.item.window:>4}  {start:<16}  {report.rows:>7,}{name}"
    if estimate is not None:
        line += f"  {primary} {number(estimate.value)} [{number(estimate.lower)}, {number(estimate.upper)}]"
    if primary in report.realized:
        line += f"  truth {number(report.realized[primary])}"
    say(f"{escape(line)}  [{STYLES[report.health.status]}]{report.health.status}[/]")
    reasons = [reason.text for reason in report.health.reasons]
    for alert in outcome.fired:
        say(
            f"      [bold red]alarm[/] {escape(f'{alert.rule} ({alert.severity})')}{escape(_told(alert, reasons))}"
        )
    if outcome.fired or report.health.parts.get("would_page"):
        for text in reasons[:SHOWN_REASONS]:
            say(f"        - {escape(text)}")
    for alert in outcome.resolved:
        say(f"      [green]resolved[/] {escape(alert.rule)}")
    for request in outcome.requests:
        say(f"      [bold]retraining[/] {escape(f'by {request.service}: {request.reason}')}")


def _told(alert: Alert, reasons: Sequence[str]) -> str:
    """Return what a rule says of its own; the window's reasons, which many rules quote, are printed once below."""
    texts = [alert.annotations[key] for key in ("summary", "description") if key in alert.annotations]
    return "".join(f": {text}" for text in texts if text != "; ".join(reasons))
