"""`mlhealth prometheus`: the recording and alerting rules as a file for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer(
    name="prometheus", help="Recording and alerting rules for Prometheus.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.callback()
def _group() -> None:
    """Keep `export` a command of its own: a group of one command would be run without its name."""


@group.command("export")
def export_command(folder: Annotated[Path, typer.Argument(help="Folder to write to.")]) -> None:
    """Write the rules as a file to name under `rule_files` of Prometheus."""
    from importlib.resources import files

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "mlhealth.yml"
    path.write_bytes((files("mlhealth.dashboards") / "prometheus" / "mlhealth.yml").read_bytes())
    print(path)
