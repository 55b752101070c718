"""`mlhealth grafana`: the boards as files, or all that a running Grafana needs pushed to it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from mlhealth.errors import ConfigError

group = typer.Typer(
    name="grafana",
    help="Boards, data sources and alert rules for Grafana: as files, or pushed.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.command("export")
def export_command(folder: Annotated[Path, typer.Argument(help="Folder to write to.")]) -> None:
    """Write the boards as files for Grafana's provisioning."""
    for path in _module("grafana").export(folder):
        print(path)


@group.command("push")
def push_command(
    url: Annotated[str, typer.Argument(help="Address of Grafana.")],
    token: Annotated[
        str,
        typer.Option(
            envvar="GRAFANA_TOKEN", help="Token of a service account: Editor, for data sources Admin."
        ),
    ],
    *,
    prometheus: Annotated[
        str,
        typer.Option(
            help="Address of Prometheus, or the uid of a data source; with it come the alert rules."
        ),
    ] = "",
    history: Annotated[
        str, typer.Option(help="The store, as postgresql://grafana_reader@db:5432/mlhealth.")
    ] = "",
    password: Annotated[
        str, typer.Option(envvar="GRAFANA_READER_PASSWORD", help="Password of that user.", show_default=False)
    ] = "",
    contact: Annotated[
        str, typer.Option(help="Who the alert rules tell: email=…, webhook=…, slack=…, teams=…, pagerduty=….")
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what a person changed, and send the password again.")
    ] = False,
) -> None:
    """Create or update folder, boards, data sources, alert rules and contact point; what a person changed is kept."""
    module = _module("grafana_push")
    wanted = module.Wanted(prometheus, history, password, contact, overwrite)
    for thing in module.push(url, token, wanted):
        print(f"{thing.kind} {thing.uid}: {thing.outcome}")


def _module(name: str) -> ModuleType:
    from importlib import import_module

    try:
        return import_module(f"mlhealth.dashboards.{name}")
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name} is not installed; install mlhealth[service,grafana]") from None
