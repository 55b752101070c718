"""`mlhealth models`: list model versions, and retire those that are no longer asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer(name="models", help="List and retire model versions.", no_args_is_help=True)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]
_DEFAULT = Path("mlhealth.yaml")


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.command("list")
def list_command(config: ConfigPath = _DEFAULT) -> None:
    """List every model version the store knows, with its state and how far it has been judged."""
    from sqlalchemy import select

    from mlhealth.clock import to_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store.tables import model_versions as table

    _, database = opened(config)
    with database.read() as connection:
        rows = connection.execute(select(table).order_by(table.c.model, table.c.version)).all()
    for row in rows:
        judged = f"judged until {to_iso(row.closed_end)}" if row.closed_end is not None else "no window yet"
        typer.echo(f"{row.model}  {row.version}  {row.state}  {judged}")
    if not rows:
        typer.echo("no model is known yet")


@group.command("retire")
def retire(
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[str, typer.Argument(help="The version that is no longer asked.")],
    by: Annotated[str, typer.Option(envvar="USER", help="Who retires it.")],
    config: ConfigPath = _DEFAULT,
) -> None:
    """Retire a version: it does not page for silence, and its alerts end."""
    from mlhealth.clock import SystemClock
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store.retire import retire as retire_version

    _, database = opened(config)
    with database.begin() as connection:
        ended = retire_version(connection, model, version, by, SystemClock().now())
    typer.echo(f"{model} {version} is retired; {ended} alerts ended")
