"""`mlhealth baseline push`, `activate` and `list`: baselines in the service's store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlhealth.baseline.record import Baseline
    from mlhealth.config.models import ModelConfig
    from mlhealth.config.service import Config
    from mlhealth.store.database import Database

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]


def register(group: typer.Typer) -> None:
    """Add the commands to `mlhealth baseline`."""
    group.command("push")(push)
    group.command("activate")(activate)
    group.command("list")(list_command)


def push(
    folder: Annotated[Path, typer.Argument(help="Folder made by `mlhealth baseline fit`.")],
    config: ConfigPath = Path("mlhealth.yaml"),
    activate: Annotated[bool, typer.Option(help="Let it speak for its model version at once.")] = True,
) -> None:
    """Put a baseline into the store, and let it speak for its model version."""
    from mlhealth.baseline.files import load
    from mlhealth.clock import SystemClock
    from mlhealth.commands.terminal import stderr, warn
    from mlhealth.store import baselines

    baseline = load(folder)
    settings, database = opened(config)
    now = SystemClock().now()
    with database.begin() as connection:
        name = baselines.push(connection, baseline, now)
        if activate and not baselines.is_active(connection, name):
            window = settings.model(baseline.schema.model).window
            baselines.activate(connection, name, now, window=window)
    schema = baseline.schema
    warn(_remarks(settings.model(schema.model), baseline))
    stderr().print(f"baseline {name[:12]} of {schema.model} version {schema.version} is in the store")
    typer.echo(name)


def activate(
    name: Annotated[str, typer.Argument(metavar="HASH", help="The baseline's hash, or its beginning.")],
    start: Annotated[
        str | None,
        typer.Option("--from", help="Event time from which on it speaks; default the next window."),
    ] = None,
    config: ConfigPath = Path("mlhealth.yaml"),
) -> None:
    """Let a stored baseline speak for its model version from an event time on."""
    from mlhealth.clock import SystemClock, from_iso, to_iso
    from mlhealth.commands.terminal import stderr
    from mlhealth.store import baselines

    settings, database = opened(config)
    at = None if start is None else from_iso(start)
    with database.begin() as connection:
        found = baselines.find(connection, name)
        window = settings.model(found.model).window
        row = baselines.activate(connection, name, SystemClock().now(), start=at, window=window)
    when = "every window" if row.start == baselines.ALWAYS else f"windows from {to_iso(row.start)} on"
    stderr().print(f"baseline {row.baseline[:12]} speaks for {row.model} version {row.version}: {when}")


def list_command(config: ConfigPath = Path("mlhealth.yaml")) -> None:
    """List the baselines in the store and from when on each speaks."""
    from rich.console import Console
    from rich.table import Table

    from mlhealth.clock import to_iso
    from mlhealth.store import baselines

    _, database = opened(config)
    with database.read() as connection:
        rows, active = baselines.listed(connection), baselines.activations(connection)
    table = Table("model", "version", "baseline", "rows", "mode", "speaks from", "pushed")
    for row in rows:
        starts = [a.start for a in active if a.baseline == row.hash]
        told = ", ".join("always" if s == baselines.ALWAYS else to_iso(s) for s in starts) or "–"
        summary = row.summary
        table.add_row(
            row.model,
            row.version,
            row.hash[:12],
            str(summary["rows"]),
            summary["mode"],
            told,
            to_iso(row.created),
        )
    Console().print(table)


def _remarks(config: ModelConfig, baseline: Baseline) -> list[str]:
    """Return what the model's false-alarm budget cannot do."""
    from mlhealth.configured import remarks
    from mlhealth.segments.splitting import segment_columns

    columns = segment_columns(baseline, config.segments, config.segment_values)
    return remarks(config, 1 + sum(len(column.segments) for column in columns))


def opened(config: Path) -> tuple[Config, Database]:
    """Return a configuration and its store, ready for use."""
    from mlhealth.config.service import load
    from mlhealth.store import schema
    from mlhealth.store.database import Database

    settings = load(config)
    database = Database.open(settings.store)
    schema.ensure(database)
    return settings, database
