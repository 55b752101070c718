"""`mlhealth audit`: check and export the audit trail."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer(name="audit", help="Check and export the audit trail.", no_args_is_help=True)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]
_DEFAULT = Path("mlhealth.yaml")


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.command("verify")
def verify(
    head: Annotated[
        str | None, typer.Option(help="A hash noted earlier that must still be in the trail.")
    ] = None,
    config: ConfigPath = _DEFAULT,
) -> None:
    """Check that no row was changed or removed; prints the head's hash. Exit code 1 where one was."""
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import audit

    _, database = opened(config)
    with database.read() as connection:
        found = audit.verify(connection, head)
    if not found.ok:
        typer.echo(f"the audit trail is broken: {found.reason}")
        raise typer.Exit(1)
    typer.echo(f"{found.rows} rows, head {found.head}")


@group.command("export")
def export(config: ConfigPath = _DEFAULT) -> None:
    """Print every row as a JSON line, oldest first."""
    import json

    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import audit

    _, database = opened(config)
    with database.read() as connection:
        for row in audit.export(connection):
            typer.echo(json.dumps(row, ensure_ascii=False))
