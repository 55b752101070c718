"""Messages that wait to be decoded together with others of their address."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from mlhealth.events.messages import Messages, Partition
from mlhealth.sources.base import Address


class WaitingMessages:
    """What was polled and not yet decoded; `bytes`: the size of all bodies."""

    def __init__(self) -> None:
        self._parts: dict[Address, list[Messages]] = {}
        self._sizes: dict[Address, int] = {}

    @property
    def bytes(self) -> int:
        """How many bytes all bodies have."""
        return sum(self._sizes.values())

    def add(self, address: Address, messages: Messages) -> None:
        """Let messages wait."""
        self._parts.setdefault(address, []).append(messages)
        self._sizes[address] = self._sizes.get(address, 0) + int(messages.sizes.sum())

    def due(self, least: int) -> list[Address]:
        """Return the addresses of which so many bytes wait."""
        return [address for address, waiting in self._sizes.items() if waiting >= least]

    def of(self, address: Address) -> Messages:
        """Return all messages of an address, which wait on until they are `done`."""
        return Messages.concat(self._parts[address])

    def done(self, address: Address) -> None:
        """Drop the messages of an address."""
        del self._parts[address], self._sizes[address]

    def forget(self, partitions: Collection[Partition]) -> None:
        """Drop the messages of these partitions."""
        gone = set(partitions)
        self._parts = {a: [_without(m, gone) for m in parts] for a, parts in self._parts.items()}
        self._sizes = {a: sum(int(m.sizes.sum()) for m in parts) for a, parts in self._parts.items()}


def _without(messages: Messages, gone: Collection[Partition]) -> Messages:
    stays = np.array([p not in gone for p in messages.partitions], dtype=np.bool_)
    return messages if stays.all() else messages.take(np.flatnonzero(stays[messages.index]))
