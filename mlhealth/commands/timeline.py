"""`mlhealth timeline export`: what happened to a model in a range of time, for a post-mortem."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer(name="timeline", help="A model's history, for a post-mortem.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.callback()
def _group() -> None:
    """Keep `export` a command of its own."""


@group.command("export")
def export(
    model: Annotated[str, typer.Option(help="The model.")],
    start: Annotated[str, typer.Option("--from", help="From when: an ISO time.")],
    end: Annotated[str, typer.Option("--to", help="Up to before when: an ISO time.")],
    format_: Annotated[str, typer.Option("--format", help="json or markdown.")] = "json",
    config: Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")] = Path(
        "mlhealth.yaml"
    ),
) -> None:
    """Print windows, alerts, deliveries, retraining, markers, rejected events and acts of a range of time, in order."""
    import orjson

    from mlhealth.clock import from_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.errors import ConfigError
    from mlhealth.queries.timeline import Span, as_data, as_markdown, timeline

    if format_ not in ("json", "markdown"):
        raise ConfigError(f"--format {format_}: write json or markdown")
    span = Span(model, from_iso(start), from_iso(end))
    if span.end <= span.start:
        raise ConfigError(f"--to {end} is not after --from {start}")
    _, database = opened(config)
    entries = timeline(database, span)
    if format_ == "markdown":
        typer.echo(as_markdown(span, entries), nl=False)
    else:
        typer.echo(orjson.dumps(as_data(span, entries), option=orjson.OPT_INDENT_2).decode())
