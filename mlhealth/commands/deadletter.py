"""`mlhealth deadletter list` and `requeue`: events that could not be used, and sending them again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlhealth.config.service import Config
    from mlhealth.config.sources import KafkaConfig
    from mlhealth.events.messages import Partition
    from mlhealth.store.database import Database

    Address = tuple[Partition, int]

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
    """Send messages that could not be used again to where they came from, say after their baseline was pushed.

    A message of several rows is sent whole, so its good rows are counted twice unless the events have ids.
    """
    from mlhealth.commands.baseline_store import opened
    from mlhealth.commands.terminal import stderr
    from mlhealth.store import rejections

    settings, database = opened(config)
    with database.read() as connection:
        found = rejections.listed(connection, rejections.Wanted(model, reason, limit))
    addresses = sorted({(r.partition, r.offset) for r in found})
    count = 0
    for partition, offset in _sent_again(settings, database, addresses):
        with database.begin() as connection:
            rejections.forget(connection, partition, [offset])
        count += 1
    gone = len(addresses) - count
    stderr().print(
        f"sent {count} messages again" + (f"; {gone} are no longer where they were" if gone else "")
    )


def _sent_again(settings: Config, database: Database, addresses: Sequence[Address]) -> Iterator[Address]:
    """Send messages again, each to its own source, and yield the addresses of those that were still there."""
    from mlhealth.clock import SystemClock
    from mlhealth.sources.inbox import TOPIC
    from mlhealth.sources.kafka_letters import originals, send_again
    from mlhealth.store.inbox import Inbox

    waiting = [(p.number, offset) for p, offset in addresses if p.topic == TOPIC]
    by_number = {p.number: p for p, _ in addresses if p.topic == TOPIC}
    for number, offset in Inbox(database).requeue(waiting, SystemClock().now()):
        yield by_number[number], offset
    on_kafka = [(p, offset) for p, offset in addresses if ":" not in p.topic]
    for kafka, mine in _by_source(settings, on_kafka):
        yield from send_again(kafka, originals(kafka, mine))


def _by_source(settings: Config, addresses: Sequence[Address]) -> Iterator[tuple[KafkaConfig, list[Address]]]:
    """Yield each Kafka source with the addresses in its topics; raises ConfigError where one is in none."""
    import re

    from mlhealth.errors import ConfigError

    left = list(addresses)
    for source in settings.sources:
        kafka = source.kafka
        if kafka is None:
            continue
        pattern = kafka.pattern
        mine = [
            a
            for a in left
            if a[0].topic in kafka.topics or (pattern is not None and re.match(pattern, a[0].topic))
        ]
        left = [a for a in left if a not in mine]
        if mine:
            yield kafka, mine
    if left:
        raise ConfigError(f"sources: no source reads {left[0][0].topic}, so nothing can be sent to it again")
