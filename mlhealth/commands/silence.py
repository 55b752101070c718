"""`mlhealth silence`: hold alerts back for a while."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer(name="silence", help="Hold alerts back for a while.", no_args_is_help=True)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]
By = Annotated[str, typer.Option(envvar="USER", help="Who asks for it.")]
_DEFAULT = Path("mlhealth.yaml")


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.command("add")
def add(
    matchers: Annotated[
        list[str], typer.Argument(help='Such as model="loan-default" or severity=~"info|warning".')
    ],
    duration: Annotated[str, typer.Option("--for", help="How long, such as 2h.")],
    comment: Annotated[str, typer.Option(help="Why.")],
    by: By,
    *,
    start: Annotated[str | None, typer.Option(help="From when, ISO 8601; default now.")] = None,
    hours: Annotated[
        str | None, typer.Option(help="Only in these, such as 'sun 02:00-04:00 Europe/Berlin'.")
    ] = None,
    config: ConfigPath = _DEFAULT,
) -> None:
    """Silence the alerts whose labels meet every matcher; with --hours as a maintenance window that comes again."""
    from mlhealth.alerts.matchers import Matcher
    from mlhealth.clock import SystemClock, from_iso, parse_duration, to_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import silences

    now = SystemClock().now()
    begins = now if start is None else from_iso(start)
    parsed = tuple(Matcher.parse(text) for text in matchers)
    wanted = silences.NewSilence(parsed, begins, begins + parse_duration(duration), by, comment, hours)
    _, database = opened(config)
    with database.begin() as connection:
        made = silences.add(connection, wanted, now)
    typer.echo(f"{made.id} until {to_iso(made.ends)}")


@group.command("list")
def list_command(config: ConfigPath = _DEFAULT) -> None:
    """List the silences in force and to come."""
    from mlhealth.clock import SystemClock, to_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import silences

    _, database = opened(config)
    with database.read() as connection:
        found = silences.current(connection, SystemClock().now())
    for silence in found:
        matchers = " ".join(str(matcher) for matcher in silence.matchers)
        span = (to_iso(silence.starts), to_iso(silence.ends), silence.hours)
        parts = (silence.id, *span, silence.by, matchers, silence.comment)
        typer.echo("  ".join(part for part in parts if part))
    if not found:
        typer.echo("nothing is silenced")


@group.command("expire")
def expire(
    name: Annotated[str, typer.Argument(metavar="ID", help="As `mlhealth silence list` shows it.")],
    by: By,
    config: ConfigPath = _DEFAULT,
) -> None:
    """End a silence now; what it held back is told at once."""
    from mlhealth.clock import SystemClock
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import silences

    _, database = opened(config)
    with database.begin() as connection:
        silences.expire(connection, name, by, SystemClock().now())
    typer.echo(f"{name} has ended")
