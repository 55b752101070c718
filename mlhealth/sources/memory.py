"""A log in memory: for tests, notebooks and the demo. What Kafka promises, without a broker."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mlhealth.clock import Clock, SystemClock
from mlhealth.events.messages import Partition
from mlhealth.sources.base import Poll
from mlhealth.sources.grouping import Grouping, Headers
from mlhealth.sources.positioned import PositionedSource


@dataclass(frozen=True)
class Record:
    """One message: when it was written (microseconds), its headers and its body."""

    written: int
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes


@dataclass
class MemoryLog:
    """The log itself, which outlives its readers; `append` is the producer, `trim` is retention."""

    topic: str
    partitions: int = 1
    clock: Clock = field(default_factory=SystemClock)
    firsts: dict[int, int] = field(default_factory=dict)
    records: dict[int, list[Record]] = field(default_factory=dict)

    def append(
        self, partition: int, value: bytes, headers: Headers = (), *, written: int | None = None
    ) -> int:
        """Add a message and return its offset."""
        log = self.records.setdefault(partition, [])
        log.append(Record(self.clock.now() if written is None else written, tuple(headers), value))
        return self.first(partition) + len(log) - 1

    def trim(self, partition: int, first: int) -> None:
        """Forget messages before offset `first`."""
        gone = first - self.first(partition)
        del self.records.setdefault(partition, [])[:gone]
        self.firsts[partition] = first

    def first(self, partition: int) -> int:
        """Return the offset of the first message that is still there."""
        return self.firsts.get(partition, 0)

    def end(self, partition: int) -> int:
        """Return the offset after the last message."""
        return self.first(partition) + len(self.records.get(partition, ()))

    def read(self, partition: int, offset: int, most: int) -> Sequence[Record]:
        """Return at most so many messages from `offset` on."""
        at = offset - self.first(partition)
        return self.records.get(partition, [])[at : at + most]


class MemorySource(PositionedSource):
    """One reader of a `MemoryLog`; `give` and `take` do what a consumer group's rebalance does."""

    def __init__(self, log: MemoryLog, *, poll_records: int = 20_000) -> None:
        super().__init__()
        self._log = log
        self._most = poll_records
        self._fresh = {Partition(log.topic, n) for n in range(log.partitions)}
        self.committed: dict[Partition, int] = {}

    def give(self, partitions: Collection[Partition]) -> None:
        """Assign partitions, from the next poll on."""
        self._fresh.update(partitions)

    def take(self, partitions: Collection[Partition]) -> None:
        """Take partitions away in order, as a rebalance does."""
        self._fresh.difference_update(partitions)
        held = [p for p in partitions if p in self._positions]
        if held and self._owner is not None:
            self._owner.revoked(held)
        for partition in held:
            del self._positions[partition]

    def poll(self, timeout: float) -> Poll:
        self._place()
        if self._paused:
            return Poll()
        grouping = Grouping({})
        moved: dict[Partition, int] = {}
        for partition, position in sorted(self._positions.items()):
            records = self._log.read(partition.number, position, self._most)
            number = grouping.open(partition)
            for offset, record in enumerate(records, start=position):
                grouping.add(number, offset, record.written // 1_000, record.headers, record.value)
            if records:
                moved[partition] = self._positions[partition] = position + len(records)
        return Poll(grouping.batches(), grouping.marks, moved)

    def partitions(self) -> Collection[Partition]:
        return [Partition(self._log.topic, n) for n in range(self._log.partitions)]

    def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        return {p: self._log.end(p.number) for p in partitions if p.topic == self._log.topic}

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        self.committed.update(offsets)

    def _bounds(self, partitions: Collection[Partition]) -> dict[Partition, tuple[int, int]]:
        return {p: (self._log.first(p.number), self._log.end(p.number)) for p in partitions}
