"""`mlhealth backfill`: the reports of a table in a lake, as the live path would have written them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlhealth.backfill.run import Summary


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("backfill")(backfill)


def backfill(
    location: Annotated[
        str, typer.Argument(help="Folder, file or URI of a Parquet, Delta or Iceberg table.")
    ],
    *,
    model: Annotated[str, typer.Option(help="The model whose log this is.")],
    version: Annotated[str, typer.Option(help="Its version; a baseline must be active.")],
    table_format: Annotated[
        str | None, typer.Option("--format", help="parquet, delta or iceberg; default by its looks.")
    ] = None,
    engine: Annotated[str, typer.Option(help="local, dask, ray or spark.")] = "local",
    workers: Annotated[int, typer.Option(help="Workers to start, where the engine starts them.", min=1)] = 1,
    address: Annotated[str | None, typer.Option(help="A cluster that runs already.")] = None,
    config: Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")] = Path(
        "mlhealth.yaml"
    ),
) -> None:
    """Write the reports of a table's past windows; killed or repeated, it goes on where it stood."""
    from mlhealth.alerts.rules import load_rules
    from mlhealth.backfill.engines.registry import engine as engine_named
    from mlhealth.backfill.run import Backfill, Place
    from mlhealth.backfill.tables.opening import format_named, open_pieces
    from mlhealth.clock import SystemClock
    from mlhealth.commands.baseline_store import opened
    from mlhealth.commands.terminal import progress_bar

    started = engine_named(engine, workers, address)
    settings, database = opened(config)
    database.claim()
    pieces = open_pieces(location, format_named(table_format))
    place = Place(database, settings, load_rules(settings.rules), SystemClock())
    work = Backfill(pieces, (model, version), place)
    with started, progress_bar("reading") as told:
        summary = work.run(started, told)
    _tell(summary)


def _tell(summary: Summary) -> None:
    from mlhealth.commands.terminal import stderr
    from mlhealth.records import HealthStatus

    console = stderr()
    rows = summary.outcomes
    if summary.skipped:
        console.print(f"{summary.skipped} of {summary.stretches} stretches were done before")
    console.print(f"{rows['accepted']:,} rows in {len(summary.reports):,} reports")
    for reason, count in summary.reasons.most_common(5):
        console.print(f"[yellow]left out[/yellow]: {count:,} rows: {reason}")
    if rows["late"]:
        console.print(f"[yellow]left out[/yellow]: {rows['late']:,} rows of windows that were closed before")
    overall = [report for report in summary.reports if not report.key.segment]
    for status in HealthStatus:
        found = sum(report.health.status is status for report in overall)
        if found:
            console.print(f"{found:,} windows {status}")
