"""`mlhealth forget`: delete what the store holds of single events, by their ids."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Ids = Annotated[list[str] | None, typer.Argument(help="Event ids.", metavar="ID...")]
IdsFile = Annotated[Path | None, typer.Option("--file", help="A text file with one event id a line.")]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("forget")(forget)


def forget(
    ids: Ids = None,
    *,
    model: Annotated[str, typer.Option("--model", help="The model whose events they are.")],
    file: IdsFile = None,
    by: Annotated[str | None, typer.Option("--by", help="Who does it; default: you, from $USER.")] = None,
    config: Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")] = Path(
        "mlhealth.yaml"
    ),
) -> None:
    """Delete single events from the store, by id: kept rows, labels, waiting requests, dead letters.

    Counts and reports stay, which hold no single event. Topics and baselines are not touched.
    """
    import os

    from mlhealth.clock import SystemClock
    from mlhealth.commands.baseline_store import opened
    from mlhealth.commands.terminal import stderr
    from mlhealth.errors import ConfigError
    from mlhealth.store.forgetting import forget as forget_events

    named = [*(ids or ()), *(() if file is None else _lines(file))]
    if not named:
        raise ConfigError("name event ids, or a file of them with --file")
    _, database = opened(config)
    actor = by or os.environ.get("USER", "the command line")
    with database.begin() as connection:
        gone = forget_events(connection, model, named, (actor, SystemClock().now()))
    stderr().print(gone.text)


def _lines(file: Path) -> list[str]:
    from mlhealth.errors import DataError

    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from None
