"""Requests and responses that are two messages: brought together on their way in, what is lost told to the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from mlhealth.config.payload import PairingConfig
from mlhealth.events.formats.base import Reading
from mlhealth.events.formats.personal_halves import protected_half
from mlhealth.events.messages import Messages, Partition
from mlhealth.events.pairing import Changes, Pairing, Waiting
from mlhealth.sources.base import Address
from mlhealth.worker.ledger import Ledger, address_of


class Halves:
    """A `Pairing` between the messages of a poll and their decoding."""

    def __init__(self, config: PairingConfig, ledger: Ledger) -> None:
        self._pairing = Pairing(config)
        self._ledger = ledger
        self._window = config.window

    @property
    def waiting(self) -> int:
        """How many halves wait for their other half."""
        return len(self._pairing)

    def take(self, address: Address, messages: Messages, reading: Reading) -> Messages:
        """Take halves in, without personal data; return the pairs that they complete."""
        if reading.schema.pii:
            messages = replace(messages, values=[protected_half(value, reading) for value in messages.values])
        found = self._pairing.add(address.model, address.version, address.format, messages)
        faults = (
            address_of(messages.partitions[messages.index[i]], int(messages.offsets[i]), reason)
            for i, reason in found.faults
        )
        self._ledger.reject(address, messages, faults)
        self._give_up(found.lost)
        return found.messages(messages)

    def restore(self, halves: Iterable[Waiting]) -> None:
        """Take in what the checkpoints hold."""
        self._pairing.restore(halves)

    def forget(self, partitions: Collection[Partition]) -> None:
        """Drop what lies in these partitions."""
        self._pairing.forget(partitions)

    def changes(self) -> Changes:
        """Return what the next checkpoint must hold."""
        return self._pairing.changes()

    def saved(self) -> None:
        """Note that a checkpoint was written."""
        self._pairing.saved()

    def _give_up(self, lost: Sequence[Waiting]) -> None:
        for waiting in lost:
            model, version, _, kind = waiting.key
            address = Address(model, version, waiting.format)
            alone = Messages(
                [waiting.body],
                np.array([waiting.offset]),
                np.array([waiting.written]),
                (waiting.partition,),
                np.zeros(1, dtype=np.int32),
            )
            other = "response" if kind == "request" else "request"
            self._ledger.refuse(address, alone, "unpaired", f"the {kind}'s {other} did not come in time")
