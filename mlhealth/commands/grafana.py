"""`mlhealth grafana`: the boards as files, or pushed to a running Grafana."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from mlhealth.errors import ConfigError

group = typer.Typer(name="grafana", help="Grafana boards: export as files, or push.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.command("export")
def export_command(folder: Annotated[Path, typer.Argument(help="Folder to write to.")]) -> None:
    """Write the boards as files for Grafana's provisioning."""
    for path in _boards().export(folder):
        print(path)


@group.command("push")
def push_command(
    url: Annotated[str, typer.Argument(help="Address of Grafana.")],
    token: Annotated[
        str, typer.Option(envvar="GRAFANA_TOKEN", help="Token of a service account with role Editor.")
    ],
    *,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace boards that a person changed.")
    ] = False,
) -> None:
    """Create or update the boards in a folder of their own; boards that a person changed are kept."""
    for board in _boards().push(url, token, overwrite=overwrite):
        print(f"{board.uid}: {board.outcome}")


def _boards() -> ModuleType:
    try:
        from mlhealth.dashboards import grafana
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name} is not installed; install mlhealth[service,grafana]") from None
    return grafana
