"""`mlhealth db upgrade`: the same as `mlhealth store upgrade`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlhealth.commands.store import upgrade

group = typer.Typer(name="db", help="The store's schema.", no_args_is_help=True)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.callback()
def _db() -> None:
    """The store's schema."""


@group.command("upgrade")
def upgrade_command(config: ConfigPath = Path("mlhealth.yaml")) -> None:
    """Bring the store to the schema of this version of mlhealth; stop every other process first."""
    upgrade(config)
