"""A configuration's `sources` → the sources themselves, and the inbox for those that write to it."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from mlhealth.clock import Clock
from mlhealth.config.sources import InboxConfig, KafkaConfig, SourceConfig
from mlhealth.errors import ConfigError
from mlhealth.sources.base import Source
from mlhealth.store.database import Database
from mlhealth.store.inbox import Inbox, InboxLimits


@dataclass(frozen=True)
class Surroundings:
    """What a source may need beside its configuration."""

    database: Database
    clock: Clock


@dataclass(frozen=True)
class ConfiguredSource:
    """A source, and after how many microseconds without a message its partitions count as idle."""

    source: Source
    idle: int


def sources_of(configs: Sequence[SourceConfig], around: Surroundings) -> list[ConfiguredSource]:
    """Return the sources of a configuration, not yet started; where none is named, the inbox is read."""
    return [_source(config, around) for config in configs or (SourceConfig(inbox=InboxConfig()),)]


def inbox_config(configs: Sequence[SourceConfig]) -> InboxConfig | None:
    """Return how the inbox is configured, None where no source reads it."""
    if not configs:
        return InboxConfig()
    return next((config.inbox for config in configs if config.inbox is not None), None)


def inbox_of(config: InboxConfig, database: Database) -> Inbox:
    """Return the inbox of a store."""
    return Inbox(database, InboxLimits(config.partitions, config.max_rows, config.max_bytes))


def worker_name() -> str:
    """Return a name that no other worker has."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def _source(config: SourceConfig, around: Surroundings) -> ConfiguredSource:
    if config.kafka is not None:
        return ConfiguredSource(_kafka_source(config.kafka), config.kafka.idle)
    if config.files is not None:
        from mlhealth.sources.files import FileSource

        return ConfiguredSource(FileSource(config.files), config.files.idle)
    inbox = config.inbox or InboxConfig()
    return ConfiguredSource(_inbox_source(inbox, around), inbox.idle)


def _inbox_source(config: InboxConfig, around: Surroundings) -> Source:
    from mlhealth.sources.inbox import InboxSource, ReaderIdentity

    return InboxSource(inbox_of(config, around.database), ReaderIdentity(worker_name(), around.clock))


def _kafka_source(config: KafkaConfig) -> Source:
    if config.client == "kafka-python":
        from mlhealth.sources.kafka import KafkaSource

        return KafkaSource(config)
    try:
        from mlhealth.sources.confluent import ConfluentSource
    except ModuleNotFoundError:
        raise ConfigError(
            "sources: client confluent is not installed; pip install 'mlhealth[confluent]'"
        ) from None
    return ConfluentSource(config)
