"""The HTTP inbox as a source: messages that requests left in the store, read by whoever holds their partition.

`POST /v1/models/{model}/versions/{version}/events` (see `mlhealth.api.ingest`) appends to the inbox before it answers;
this source gives the messages to the worker, which checkpoints offsets as it does Kafka's. What is checkpointed is
removed at `commit`; messages of the dead-letter kind stay for `mlhealth deadletter requeue`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mlhealth.clock import Clock
from mlhealth.errors import StoreUnavailable
from mlhealth.events.messages import Partition
from mlhealth.sources.base import Address, DeadLetter, Mark, Owner, Poll
from mlhealth.sources.grouping import Grouping
from mlhealth.sources.positioned import PositionedSource
from mlhealth.store.inbox import Inbox
from mlhealth.store.inbox_readers import LEASE, InboxReader

logger = logging.getLogger(__name__)

TOPIC = "http:inbox"
"""The name of the inbox among topics; no topic of Kafka can be called so."""
_POLL_BYTES = 16 * 1024 * 1024
_WAIT = 0.05


@dataclass(frozen=True)
class ReaderIdentity:
    """Who reads: a name that no other worker has, by which clock, and how long a sign of life lasts."""

    name: str
    clock: Clock
    lease: int = LEASE


class InboxSource(PositionedSource):
    """See `Source`; partitions are shared out by leases in the store."""

    def __init__(self, inbox: Inbox, identity: ReaderIdentity) -> None:
        super().__init__()
        self._inbox = inbox
        self._identity = identity
        self._reader = InboxReader(inbox.database, identity.name, identity.lease)
        self._renewal = 0

    def start(self, owner: Owner) -> None:
        super().start(owner)
        self._inbox.prepare()
        self._share()

    def poll(self, timeout: float) -> Poll:
        if self._identity.clock.now() >= self._renewal:
            self._share()
        self.commit(self._place())  # what a lost commit left behind
        if self._paused:
            return Poll()
        end = time.monotonic() + timeout
        while True:
            found = self._read()
            left = end - time.monotonic()
            if found or found.positions or left <= 0:
                return found
            time.sleep(min(_WAIT, left))

    def partitions(self) -> Collection[Partition]:
        return [Partition(TOPIC, number) for number in sorted(self._inbox.partitions())]

    def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        return {partition: end for partition, (_, end) in self._bounds(partitions).items()}

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        ours = {p.number: offset for p, offset in offsets.items() if p.topic == TOPIC}
        try:
            if ours:
                self._inbox.trim(ours)
        except StoreUnavailable as error:
            logger.info("messages of the inbox were not removed yet: %s", error)

    def set_aside(self, letters: Sequence[DeadLetter]) -> int:
        ours = [(x.partition.number, x.offset, x.reason) for x in letters if x.partition.topic == TOPIC]
        if ours:
            self._inbox.set_aside(ours)
        return len(ours)

    def close(self) -> None:
        super().close()
        try:
            self._reader.leave()
        except StoreUnavailable:
            return  # the leases end by themselves

    def _share(self) -> None:
        """Renew the leases; take in what is new, put away what is more than the share, forget what was lost."""
        now = self._identity.clock.now()
        share = self._reader.renew(now)
        self._renewal = now + self._identity.lease // 3
        held = {Partition(TOPIC, number) for number in share.held}
        known = set(self._positions) | self._fresh
        if self._owner is not None and known - held:
            self._forget(known - held)
            self._owner.lost(known - held)
        self._fresh |= held - known
        surplus = sorted(held)[share.most :]
        if surplus and self._owner is not None:
            self._owner.revoked(surplus)
            self._forget(surplus)
            self._reader.release([partition.number for partition in surplus])

    def _forget(self, partitions: Collection[Partition]) -> None:
        self._fresh.difference_update(partitions)
        for partition in partitions:
            self._positions.pop(partition, None)

    def _bounds(self, partitions: Collection[Partition]) -> dict[Partition, tuple[int, int]]:
        found = self._inbox.bounds([p.number for p in partitions if p.topic == TOPIC])
        return {Partition(TOPIC, number): bounds for number, bounds in found.items()}

    def _read(self) -> Poll:
        grouping = Grouping({})
        moved: dict[Partition, int] = {}
        for partition, position in sorted(self._positions.items()):
            number = grouping.open(partition)
            for message in self._inbox.read(partition.number, position, _POLL_BYTES):
                entry = message.entry
                address = Address(entry.model, entry.version, entry.format)
                moved[partition] = self._positions[partition] = message.offset + 1
                if entry.watermark is not None:
                    grouping.marks.append(Mark(address, partition, entry.watermark))
                else:
                    grouping.put(address, number, message.offset, message.written // 1_000, entry.body)
        return Poll(grouping.batches(), grouping.marks, moved)
