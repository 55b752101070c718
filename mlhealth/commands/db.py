"""`mlhealth db upgrade`: bring a store to this version's schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    from mlhealth.commands.terminal import stderr
    from mlhealth.config import load
    from mlhealth.store import schema
    from mlhealth.store.database import Database

    before, after = schema.upgrade(Database.open(load(config).store))
    if before == after:
        stderr().print(f"the store has schema {after}: nothing to do")
    else:
        stderr().print(f"the store's schema is {after} (was {before or 'empty'})")
