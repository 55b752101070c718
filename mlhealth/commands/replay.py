"""`mlhealth replay`: send a table's rows as events, as the model's own service would have sent them."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlhealth.files.replay import Replay
    from mlhealth.schema.model_schema import ModelSchema
    from mlhealth.sources.kafka_producer import EventWriter


class Target(StrEnum):
    """Where events go."""

    KAFKA = "kafka"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("replay")(replay)


def replay(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file with event times.")],
    *,
    to: Annotated[Target, typer.Option(help="Where to send the events.")] = Target.KAFKA,
    bootstrap: Annotated[str, typer.Option(help="The broker's address.")] = "localhost:9092",
    topic: Annotated[str, typer.Option(help="The topic to write to.")] = "inference-log",
    baseline: Annotated[Path | None, typer.Option(help="Baseline folder whose schema the rows have.")] = None,
    schema: Annotated[Path | None, typer.Option(help="model.yaml, in place of a baseline.")] = None,
    version: Annotated[str | None, typer.Option(help="Send as this version of the model.")] = None,
    speed: Annotated[
        float | None,
        typer.Option(help="Event time per wall time: 60 sends an hour in a minute; default at once."),
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(help="Create the topic with so many partitions, where it is not there.", min=1),
    ] = None,
    per_message: Annotated[int, typer.Option(help="Rows per message.", min=1)] = 1,
    complete: Annotated[bool, typer.Option(help="Tell at the end that no earlier event follows.")] = True,
    window: Annotated[str, typer.Option(help="The end told is a whole number of these.")] = "1d",
) -> None:
    """Send the rows of a file as events, in order of time, with row numbers as ids."""
    from dataclasses import replace

    from mlhealth.clock import parse_duration
    from mlhealth.commands.terminal import stderr
    from mlhealth.config.sources import KafkaConfig
    from mlhealth.files.replay import Replay
    from mlhealth.files.tables import read_table
    from mlhealth.sources.base import Address
    from mlhealth.sources.kafka_producer import EventWriter, create_topic

    table = read_table(file)
    found = _schema(baseline, schema, table)
    found = replace(found, version=version or found.version)
    rows = Replay.of(table, found, per_message=per_message, name=str(file))
    config = KafkaConfig(bootstrap=bootstrap, topics=(topic,))
    if partitions is not None:
        create_topic(config, topic, partitions)
    writer = EventWriter(config, topic, Address(found.model, found.version))
    try:
        _send(rows, writer, speed)
        if complete and rows.rows:
            size = parse_duration(window)
            writer.complete(rows.last - rows.last % size + size)
        writer.flush()
    finally:
        writer.close()
    stderr().print(f"sent {rows.rows} events of {found.model} version {found.version} to {topic}")


def _schema(baseline: Path | None, schema: Path | None, table: object) -> ModelSchema:
    from mlhealth.baseline.files import load
    from mlhealth.errors import ConfigError
    from mlhealth.schema.file import complete, load_schema

    if baseline is not None:
        return load(baseline).schema
    if schema is None:
        raise ConfigError("give --baseline DIR or --schema model.yaml, so that the columns' meaning is known")
    return complete(load_schema(schema), table).schema


def _send(rows: Replay, writer: EventWriter, speed: float | None) -> None:
    from mlhealth.commands.terminal import progress_bar
    from mlhealth.files.replay import partition_of

    began = time.monotonic()
    first = int(rows.times[0]) if rows.rows else 0
    with progress_bar("sending") as told:
        for count, (row, body) in enumerate(rows.bodies()):
            if speed is not None:
                due = (int(rows.times[row]) - first) / 1e6 / speed
                time.sleep(max(due - (time.monotonic() - began), 0.0))
            writer.send(partition_of(count, writer.partitions), body)
            if count % 1000 == 0:
                told("sending", row / rows.rows)
