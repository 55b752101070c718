"""`mlhealth retraining`: see, approve and reject retraining requests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer(name="retraining", help="See and decide retraining requests.", no_args_is_help=True)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="As `mlhealth retraining list` shows it.")]
By = Annotated[str, typer.Option(envvar="USER", help="Who decides.")]
_DEFAULT = Path("mlhealth.yaml")


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.command("list")
def list_command(
    model: Annotated[str | None, typer.Option(help="Of this model only.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    config: ConfigPath = _DEFAULT,
) -> None:
    """List the newest requests, with how far each has come."""
    from mlhealth.clock import format_duration, to_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import retraining

    _, database = opened(config)
    with database.read() as connection:
        rows = retraining.latest(connection, limit, model)
    for row in rows:
        parts = (
            row.id,
            to_iso(row.created),
            f"{row.model} {row.version}",
            row.service,
            row.status,
            row.reason,
        )
        known = [text for text in (row.detail, row.verdict, row.action) if text]
        if row.time_to_recovery is not None:
            known.append(f"in {format_duration(row.time_to_recovery)}")
        if row.gpu_seconds:
            known.append(f"{row.gpu_seconds / 3600:.2f} GPU hours")
        typer.echo("  ".join((*parts, *known)))
    if not rows:
        typer.echo("no retraining was asked for")


@group.command("approve")
def approve(name: Id, by: By, config: ConfigPath = _DEFAULT) -> None:
    """Let a request that awaits approval go out."""
    from mlhealth.clock import SystemClock
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import retraining

    _, database = opened(config)
    with database.begin() as connection:
        retraining.approve(connection, name, by, SystemClock().now())
    typer.echo(f"{name} is approved")


@group.command("reject")
def reject(
    name: Id, by: By, reason: Annotated[str, typer.Option(help="Why.")], config: ConfigPath = _DEFAULT
) -> None:
    """Refuse a request that awaits approval."""
    from mlhealth.clock import SystemClock
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import retraining

    _, database = opened(config)
    with database.begin() as connection:
        retraining.reject(connection, name, by, reason, SystemClock().now())
    typer.echo(f"{name} is rejected")
