"""The contract of every source of events.

A source is a set of partitions, each an ordered log of messages numbered by offset. Three offsets matter: the
*position* (what `poll` gives next), the *checkpoint* (what the store holds: everything before it has been counted) and
the *committed* one (told to the broker for its lag tools only, last of all). After a crash a partition starts again at
its checkpoint, so nothing is lost and nothing counted twice.

All methods are called by one thread. Only `poll` calls back into the `Owner`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mlhealth.events.messages import Messages, Partition

MODEL_HEADER = "mlhealth-model"
VERSION_HEADER = "mlhealth-version"
FORMAT_HEADER = "mlhealth-format"
WATERMARK_HEADER = "mlhealth-watermark"
"""ISO time on a message without a body: no earlier event of the model version follows in the partition."""


@dataclass(frozen=True, order=True)
class Address:
    """Whose events a message holds: "" where the message does not say. `format`: how it is written.

    `fraction`: which share of the traffic the log holds, where its events do not say.
    """

    model: str
    version: str
    format: str = "json"
    fraction: float = 1.0


@dataclass(frozen=True)
class Mark:
    """A producer's promise that no event of a model version before `event_time` follows in a partition."""

    address: Address
    partition: Partition
    event_time: int


@dataclass(frozen=True)
class DeadLetter:
    """A message that could not be used, or not all of it, and the first reason."""

    partition: Partition
    offset: int
    address: Address
    reason: str
    value: bytes


@dataclass(frozen=True)
class Gap:
    """Messages that were never read because the source no longer had them: offsets `first` up to before `next`.

    `next` lies before `first` where the log was made anew and is shorter than what was read of it.
    """

    partition: Partition
    first: int
    next: int


@dataclass(frozen=True)
class Poll:
    """What one poll brought: messages by address, watermarks, and the new position of each partition that moved."""

    batches: Sequence[tuple[Address, Messages]] = ()
    marks: Sequence[Mark] = ()
    positions: Mapping[Partition, int] | None = None

    def __bool__(self) -> bool:
        return bool(self.batches or self.marks)


class Owner(Protocol):
    """Who takes the messages in: told of partitions that come and go, inside `poll`, where no source may be called."""

    def assigned(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Return from which offset to read each; one that is left out starts at its beginning."""

    def revoked(self, partitions: Collection[Partition]) -> None:
        """Put away what was read of partitions that are about to be given to someone else."""

    def lost(self, partitions: Collection[Partition]) -> None:
        """Forget what was read of partitions that someone else already has."""

    def gap(self, gap: Gap) -> None:
        """Take note that messages are missing."""


class Source(ABC):
    """See the module."""

    @abstractmethod
    def start(self, owner: Owner) -> None:
        """Connect; raises SourceUnavailable where nobody answers."""

    @abstractmethod
    def poll(self, timeout: float) -> Poll:
        """Return what there is, waiting up to `timeout` seconds for the first message."""

    @abstractmethod
    def partitions(self) -> Collection[Partition]:
        """Return every partition of the source, whoever reads it."""

    @abstractmethod
    def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Return the offset after the last message of each partition, asked for just now."""

    @abstractmethod
    def positions(self) -> Mapping[Partition, int]:
        """Return what `poll` gives next, of every partition that is assigned."""

    @abstractmethod
    def reload(self, partitions: Collection[Partition]) -> None:
        """Ask the owner again, at the next poll, from where to read these partitions."""

    @abstractmethod
    def pause(self) -> None:
        """Let `poll` give nothing until `resume`, while the partitions stay assigned."""

    @abstractmethod
    def resume(self) -> None:
        """Undo `pause`."""

    @abstractmethod
    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Tell the source how far the checkpoints are, for lag tools; failing is not an error."""

    def set_aside(self, letters: Sequence[DeadLetter]) -> int:
        """Write messages that could not be used to where people look for them; return how many were written.

        Called before their checkpoint: after a crash a letter may be there twice, never not at all.
        """
        return 0

    @abstractmethod
    def close(self) -> None:
        """Let go; what was not checkpointed is read again by whoever comes next."""
