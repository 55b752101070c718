"""`mlhealth models list`, `review`, `discover`, `retire`: which model versions there are, how far each has come."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from mlhealth.commands.model_review import review

group = typer.Typer(
    name="models", help="Model versions: list, review, discover, retire.", no_args_is_help=True
)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    group.command("review")(review)
    app.add_typer(group)


@group.command("list")
def list_command(config: ConfigPath = Path("mlhealth.yaml")) -> None:
    """List model versions: their state, their windows, and their open ones."""
    from rich.console import Console
    from rich.table import Table

    from mlhealth.clock import to_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store.closing import snapshot

    _, database = opened(config)
    table = Table("model", "version", "state", "reported up to", "latest event", "open windows")
    for (model, version), standing in sorted(snapshot(database).models.items()):
        latest = max((seen.event_time for seen in standing.seen), default=None)
        table.add_row(
            model,
            version,
            standing.state,
            "–" if standing.windows.closed_end is None else to_iso(standing.windows.closed_end),
            "–" if latest is None else to_iso(latest),
            str(len(standing.windows.panes)),
        )
    Console().print(table)


@group.command("discover")
def discover(
    topic: Annotated[str | None, typer.Option(help="Look at the first events of this topic instead.")] = None,
    bootstrap: Annotated[
        str | None, typer.Option(help="The topic's broker; default the configuration's.")
    ] = None,
    events: Annotated[int, typer.Option(help="Messages of the topic to look at.", min=1, max=100_000)] = 500,
    config: ConfigPath = Path("mlhealth.yaml"),
) -> None:
    """Propose a schema for each model version without a baseline; with --topic, and how to read it, from its events."""
    from mlhealth.commands.baseline_store import opened
    from mlhealth.discovery import proposals

    if topic is not None:
        typer.echo(_of_topic(topic, bootstrap, events, config), nl=False)
        return
    settings, database = opened(config)
    found = proposals(settings, database)
    if not found:
        typer.echo("every model version that sends events has a baseline")
    for proposal in found:
        typer.echo(proposal)


def _of_topic(topic: str, bootstrap: str | None, count: int, config: Path) -> str:
    from mlhealth.config.service import load
    from mlhealth.config.sources import KafkaConfig
    from mlhealth.errors import ConfigError
    from mlhealth.sources.kafka_samples import first_records
    from mlhealth.topic_discovery import Record, proposed

    known = [s.kafka for s in load(config).sources if s.kafka is not None] if config.is_file() else []
    if bootstrap is not None:
        source = next((kafka for kafka in known if kafka.bootstrap == bootstrap), None)
        known = [source or KafkaConfig(bootstrap=bootstrap, topics=(topic,))]
    if not known:
        raise ConfigError(f"{config} names no Kafka broker: give one with --bootstrap HOST:PORT")
    records = [
        Record(
            {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers or ()},
            record.value or b"",
            record.timestamp * 1_000,
        )
        for record in first_records(known[0], topic, count)
    ]
    return proposed(topic, known[0].bootstrap, records)


@group.command("retire")
def retire(
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[str, typer.Argument(help="Its version.")],
    config: ConfigPath = Path("mlhealth.yaml"),
) -> None:
    """Let a version rest: its windows are no longer reported, and its silence pages nobody."""
    from mlhealth.clock import SystemClock
    from mlhealth.commands.baseline_store import opened
    from mlhealth.commands.terminal import stderr
    from mlhealth.store.retire import retire as retire_version

    _, database = opened(config)
    with database.begin() as connection:
        ended = retire_version(connection, model, version, getpass.getuser(), SystemClock().now())
    stderr().print(f"{model} version {version} is retired; {ended} alerts ended with it")
