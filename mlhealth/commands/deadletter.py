"""`mlhealth deadletter list` and `requeue`: events that could not be used, and sending them again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlhealth.config import Config, KafkaConfig

group = typer.Typer(name="deadletter", help="Events that could not be used.", no_args_is_help=True)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The service's configuration.")]
ModelName = Annotated[str | None, typer.Option("--model", help="Of this model only.")]
ReasonText = Annotated[str | None, typer.Option("--reason", help="With this text in the reason only.")]
Limit = Annotated[int, typer.Option(help="The newest so many.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(group)


@group.command("list")
def list_command(
    config: ConfigPath = Path("mlhealth.yaml"),
    model: ModelName = None,
    reason: ReasonText = None,
    limit: Limit = 100,
) -> None:
    """List events that could not be used: where they lie, and why."""
    from rich.console import Console
    from rich.table import Table

    from mlhealth.clock import to_iso
    from mlhealth.commands.baseline_store import opened
    from mlhealth.store import rejections

    _, database = opened(config)
    with database.read() as connection:
        found = rejections.listed(connection, rejections.Wanted(model, reason, limit))
    table = Table("read", "topic/partition", "offset", "row", "model", "reason")
    for r in found:
        whose = f"{r.model} {r.version}".strip() or "–"
        table.add_row(to_iso(r.created)[:19], str(r.partition), str(r.offset), str(r.row), whose, r.reason)
    Console().print(table)


@group.command("requeue")
def requeue(
    config: ConfigPath = Path("mlhealth.yaml"),
    model: ModelName = None,
    reason: ReasonText = None,
    limit: Limit = 100,
) -> None:
    """Send messages that could not be used again to the topic they came from, say after their baseline was pushed.

    A message of several rows is sent whole, so its good rows are counted twice unless the events have ids.
    """
    from mlhealth.commands.baseline_store import opened
    from mlhealth.commands.terminal import stderr
    from mlhealth.sources.kafka_letters import originals, send_again
    from mlhealth.store import rejections

    settings, database = opened(config)
    with database.read() as connection:
        found = rejections.listed(connection, rejections.Wanted(model, reason, limit))
    addresses = sorted({(r.partition, r.offset) for r in found})
    kafka = _kafka(settings)
    count = 0
    for partition, offset in send_again(kafka, originals(kafka, addresses)):
        with database.begin() as connection:
            rejections.forget(connection, partition, [offset])
        count += 1
    gone = len(addresses) - count
    stderr().print(
        f"sent {count} messages again" + (f"; {gone} are no longer in their topic" if gone else "")
    )


def _kafka(settings: Config) -> KafkaConfig:
    from mlhealth.errors import ConfigError

    for source in settings.sources:
        if source.kafka is not None:
            return source.kafka
    raise ConfigError(
        "sources: no Kafka source is configured, so there is nowhere to read and send messages again"
    )
