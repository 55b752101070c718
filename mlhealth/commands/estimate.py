"""`mlhealth estimate`: how well a model does in each window of a file, without labels."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlhealth.baseline.record import Baseline
    from mlhealth.files.production import FileReport


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("estimate")(estimate)


def estimate(
    prod: Annotated[Path, typer.Argument(help="Parquet or CSV file: features, prediction, scores.")],
    *,
    baseline: Annotated[Path, typer.Option(help="Folder made by `mlhealth baseline fit`.")],
    window_rows: Annotated[int | None, typer.Option(help="Rows per window, in the file's order.")] = None,
    window: Annotated[str | None, typer.Option(help="Length of a window in event time: 15m, 1h, 1d.")] = None,
    scorer: Annotated[
        str | None, typer.Option(help="Ask the model: file.py:function, model.onnx or URL.")
    ] = None,
    scorer_rows: Annotated[
        int | None, typer.Option(help="Rows a window may ask the scorer about.", min=1)
    ] = None,
    scorer_seconds: Annotated[
        float | None, typer.Option(help="Seconds a window may wait for the scorer.", min=0.01)
    ] = None,
    level: Annotated[
        float | None, typer.Option(help="Level of the intervals; default 0.9.", min=0.5, max=0.99)
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Estimation method; default the best fitted. Others are fitted now.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Judge as the service would by this mlhealth.yaml.")
    ] = None,
    output: Annotated[
        Format, typer.Option("--format", help="A table for people, or a JSON object per window.")
    ] = Format.TABLE,
) -> None:
    """Estimate each window's performance, health and drift from a file without labels."""
    from dataclasses import replace

    from mlhealth.baseline.files import load
    from mlhealth.clock import parse_duration
    from mlhealth.commands.terminal import warn
    from mlhealth.config.service import load as load_config
    from mlhealth.configured import settings_of
    from mlhealth.files.production import Cut, Judging, read_production, reports
    from mlhealth.monitor import EvaluationSettings, Evaluator
    from mlhealth.scorers.opening import open_scorer
    from mlhealth.scorers.within_budget import ScorerBudget

    cut = Cut(window_rows, None if window is None else parse_duration(window))
    fitted = load(baseline)
    asked = None if scorer is None else open_scorer(scorer, fitted.schema)
    block = None if config is None else load_config(config).model(fitted.schema.model)
    settings = EvaluationSettings() if block is None else settings_of(block, fitted)
    kept = settings.scorer_budget
    budget = ScorerBudget(scorer_rows or kept.rows, scorer_seconds or kept.seconds)
    settings = replace(settings, level=level or settings.level, scorer_budget=budget)
    evaluator = Evaluator(fitted, replace(settings, method=method, scorer=asked))
    judging = None if block is None else Judging.configured(fitted, block, cut)
    production = read_production(prod, fitted)
    warn([*production.warnings, *(() if judging is None else judging.remarks)])
    found = reports(production, evaluator, cut, judging)
    if output is Format.JSON:
        _print_json(found)
    else:
        _print_table(found, fitted, settings.level)


def _print_json(found: Iterable[FileReport]) -> None:
    import json
    import sys

    from mlhealth.estimate_json import report_to_dict

    for item in found:
        data = report_to_dict(item.report, window=item.window, start=item.start, end=item.end)
        sys.stdout.write(json.dumps(data, allow_nan=False, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def _print_table(found: Iterable[FileReport], fitted: Baseline, level: float) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from mlhealth.records import HealthStatus

    reference = fitted.metrics[fitted.primary].value if fitted.primary in fitted.metrics else None
    title = f"{fitted.schema.model} version {fitted.schema.version}"
    told = f"{fitted.primary} in the reference: {reference:.3f}; " if reference is not None else ""
    caption = f"{told}intervals of {100 * level:g} %"
    table = Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
    )
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("start", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column(fitted.primary, justify="right", no_wrap=True)
    table.add_column("estimate", min_width=8)
    table.add_column("health", no_wrap=True)
    console = Console()
    kept = list(found)
    for item in kept:
        table.add_row(*_cells(item, fitted.primary))
    console.print(table)
    for item in kept:
        if item.report.health.status is not HealthStatus.HEALTHY:
            reasons = "; ".join(reason.text for reason in item.report.health.reasons)
            segment = f" {item.report.key.segment}" if item.report.key.segment else ""
            console.print(
                f"window {item.window}{segment}: {reasons}", markup=False, highlight=False, soft_wrap=True
            )


def _cells(item: FileReport, primary: str) -> tuple[str, ...]:
    from rich.markup import escape

    from mlhealth.commands.terminal import STYLES, number

    report = item.report
    estimate = report.estimates.get(primary)
    value = status = "–"
    if estimate is not None:
        value = f"{number(estimate.value)} [{number(estimate.lower)}, {number(estimate.upper)}]"
        status = f"[{STYLES[estimate.status]}]{estimate.status.replace('_', ' ')}[/]"
    health = report.health
    score = "–" if health.score is None else f"{health.score:.0f}"
    return (
        str(item.window),
        escape(report.key.segment) or str(item.start).removesuffix(":00Z").replace("T", " "),
        f"{report.rows:,}" if report.events is None else f"{report.rows:,} (of about {report.events:,})",
        escape(value),
        status,
        f"[{STYLES[health.status]}]{score:>3} {health.status}[/]",
    )
