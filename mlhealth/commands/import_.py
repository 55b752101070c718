"""`mlhealth import`: another monitor's configuration as a `model.yaml`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Kind(StrEnum):
    """Whose configuration it is."""

    NANNYML = "nannyml"
    EVIDENTLY = "evidently"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("import")(import_command)


def import_command(
    kind: Annotated[Kind, typer.Argument(help="Whose configuration it is.")],
    file: Annotated[Path, typer.Argument(help="NannyML's YAML, or Evidently's data definition as JSON.")],
    model: Annotated[str, typer.Option(help="The model's name.")],
    version: Annotated[str, typer.Option(help="Its version.")] = "1",
) -> None:
    """Print the `model.yaml` that another monitor's configuration amounts to."""
    from mlhealth.config.strict_yaml import read
    from mlhealth.schema.importers import from_evidently, from_nannyml, to_yaml

    data = read(file).data
    known = {Kind.NANNYML: from_nannyml, Kind.EVIDENTLY: from_evidently}
    typer.echo(to_yaml(known[kind](data if isinstance(data, dict) else {}, model, version)), nl=False)
