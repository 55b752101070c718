"""What became of events since the last checkpoint: counts, addresses of those that could not be used, dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import numpy as np

from mlhealth.events.messages import Messages, Partition
from mlhealth.records import Rejection
from mlhealth.sources.base import Address, DeadLetter
from mlhealth.store.checkpoints import Count, RejectedEvent

KEPT = 1_000
"""Addresses (and dead letters) kept per partition and checkpoint; beyond them, rejections are only counted."""


class Ledger:
    """Grows with each batch, and is cleared by each checkpoint."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[Partition, str, str, str]] = Counter()
        self._rejected: dict[Partition, list[RejectedEvent]] = {}
        self._letters: dict[Partition, list[DeadLetter]] = {}

    @property
    def counts(self) -> list[Count]:
        """Events by partition, model version and outcome."""
        return [Count(*key, events) for key, events in sorted(self._counts.items()) if events]

    @property
    def rejected(self) -> list[RejectedEvent]:
        """The addresses kept, by partition."""
        return [event for _, kept in sorted(self._rejected.items()) for event in kept]

    @property
    def letters(self) -> list[DeadLetter]:
        """The messages of the addresses kept."""
        return [letter for _, kept in sorted(self._letters.items()) for letter in kept]

    def count(self, partition: Partition, address: Address, outcome: str, events: int) -> None:
        """Add events with one outcome."""
        self._counts[partition, address.model, address.version, outcome] += events

    def reject(
        self, address: Address, messages: Messages, found: Iterable[Rejection], outcome: str = "rejected"
    ) -> None:
        """Add events of `messages` that could not be used."""
        for rejection in found:
            partition = Partition(rejection.source, rejection.partition)
            self.count(partition, address, outcome, 1)
            kept = self._rejected.setdefault(partition, [])
            if len(kept) < KEPT:
                kept.append(RejectedEvent(rejection, address.model, address.version))
                self._write(address, messages, rejection)

    def refuse(self, address: Address, messages: Messages, outcome: str, reason: str) -> None:
        """Add all of `messages` for one reason."""
        places = zip(messages.index.tolist(), messages.offsets.tolist(), strict=True)
        found = (address_of(messages.partitions[number], offset, reason) for number, offset in places)
        self.reject(address, messages, found, outcome)

    def forget(self, partitions: Collection[Partition]) -> None:
        """Drop what concerns these partitions."""
        gone = set(partitions)
        self._counts = Counter({k: v for k, v in self._counts.items() if k[0] not in gone})
        self._rejected = {p: r for p, r in self._rejected.items() if p not in gone}
        self._letters = {p: r for p, r in self._letters.items() if p not in gone}

    def clear(self) -> None:
        """Begin anew after a checkpoint."""
        self._counts.clear()
        self._rejected.clear()
        self._letters.clear()

    def _write(self, address: Address, messages: Messages, rejection: Rejection) -> None:
        """Keep the message itself for the dead-letter topic, once however many of its rows are bad."""
        partition = Partition(rejection.source, rejection.partition)
        letters = self._letters.setdefault(partition, [])
        if letters and letters[-1].offset == rejection.offset:
            return
        number = messages.partitions.index(partition)
        (positions,) = np.nonzero((messages.offsets == rejection.offset) & (messages.index == number))
        value = messages.values[int(positions[0])]
        letters.append(DeadLetter(partition, rejection.offset, address, rejection.reason, value))


def address_of(partition: Partition, offset: int, reason: str, row: int = 0) -> Rejection:
    """Return the rejection of one row of one message."""
    return Rejection(partition.topic, partition.number, offset, row, reason)
