"""The contract of a wire format, and the formats there are: one file each in this folder, found by looking.

A format turns messages of one model version into an `EventBatch`. Whatever a message holds, decoding it ends, in time
and memory that grow linearly with its bytes: it gives events or rejections, never an exception.
"""

from __future__ import annotations

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, ClassVar, Protocol

from mlhealth.config.payload import PayloadConfig
from mlhealth.errors import ConfigError
from mlhealth.events.json import Decoded
from mlhealth.events.messages import Messages
from mlhealth.schema.model_schema import ModelSchema


@dataclass(frozen=True)
class WriterSchema:
    """A schema as a registry keeps it: `kind` is AVRO, PROTOBUF or JSON; `references` are texts by import name."""

    kind: str
    text: str
    references: tuple[tuple[str, str], ...] = ()


class SchemaSource(Protocol):
    """Who knows the schemas that messages name by number."""

    def schema(self, number: int) -> WriterSchema:
        """Return a schema; raises DataError where there is none, RecoverableError where nobody answers."""


@dataclass(frozen=True)
class Reading:
    """What a format needs to know to read the messages of a model version."""

    schema: ModelSchema
    payload: PayloadConfig = field(default_factory=PayloadConfig)
    registry: SchemaSource | None = None


class Format(ABC):
    """See the module."""

    name: ClassVar[str]
    """By which headers and configuration call it."""
    is_paired: ClassVar[bool] = False
    """Whether a request and its response are two messages, which `mlhealth.events.pairing` brings together first."""

    @abstractmethod
    def decode(self, messages: Messages, reading: Reading) -> Decoded:
        """Return the events in `messages`, and the rejected ones."""


@cache
def formats() -> Mapping[str, Format]:
    """Return every format by its name."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(import_module(package).__path__):
        import_module(f"{package}.{module.name}")
    return {kind.name: kind() for kind in sorted(_named(Format), key=lambda kind: kind.name)}


def format_of(name: str) -> Format:
    """Return the format of that name; raises ConfigError."""
    found = formats().get(name)
    if found is None:
        raise ConfigError(f"format {name!r} is not known; use {', '.join(formats())}")
    return found


def _named(kind: Any) -> set[type[Format]]:
    """Return all formats below a class."""
    below = {found for child in kind.__subclasses__() for found in _named(child)}
    return below | ({kind} if hasattr(kind, "name") else set())
