"""A source in this process's memory: what the demo and tests write is read as a broker's partitions would be."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mlhealth.events.messages import Partition
from mlhealth.sources.base import Address, Gap, Owner, Poll, Source
from mlhealth.sources.grouping import Grouping, Headers

POLL_RECORDS = 20_000


@dataclass(frozen=True)
class MemoryRecord:
    """One message: its body, when it was written (milliseconds since the epoch), and its headers."""

    value: bytes
    timestamp: int
    headers: Headers = ()


class MemoryLog:
    """Partitions that outlive their readers, as a broker's do; safe to append to from any thread."""

    def __init__(self, topic: str = "memory", partitions: int = 1) -> None:
        self._lock = threading.Lock()
        self._logs: dict[Partition, list[MemoryRecord]] = {Partition(topic, n): [] for n in range(partitions)}
        self._firsts = dict.fromkeys(self._logs, 0)

    def append(self, partition: Partition, records: Sequence[MemoryRecord]) -> None:
        """Write records at the partition's end."""
        with self._lock:
            self._logs[partition].extend(records)

    def drop_before(self, partition: Partition, offset: int) -> None:
        """Forget messages before `offset`, as retention does."""
        with self._lock:
            first = self._firsts[partition]
            del self._logs[partition][: max(0, offset - first)]
            self._firsts[partition] = max(first, offset)

    def partitions(self) -> list[Partition]:
        """Return every partition."""
        return list(self._logs)

    def bounds(self, partition: Partition) -> tuple[int, int]:
        """Return the offset of the first message held, and the one after the last."""
        with self._lock:
            first = self._firsts[partition]
            return first, first + len(self._logs[partition])

    def read(self, partition: Partition, offset: int, most: int) -> list[MemoryRecord]:
        """Return up to `most` messages from `offset` on."""
        with self._lock:
            at = offset - self._firsts[partition]
            return self._logs[partition][at : at + most]


class MemorySource(Source):
    """Reads all partitions of a log; there is one reader, so nothing is ever revoked."""

    def __init__(self, log: MemoryLog, topics: Mapping[str, Address] | None = None) -> None:
        self._log = log
        self._topics = dict(topics or {})
        self._owner: Owner | None = None
        self._fresh: set[Partition] = set()
        self._positions: dict[Partition, int] = {}
        self._paused = False
        self.committed: dict[Partition, int] = {}

    def start(self, owner: Owner) -> None:
        self._owner = owner
        self._fresh = set(self._log.partitions())

    def poll(self, timeout: float) -> Poll:
        self._place()
        grouping = Grouping(self._topics)
        positions: dict[Partition, int] = {}
        size = 0
        for partition, position in {} if self._paused else self._positions.items():
            records = self._log.read(partition, position, POLL_RECORDS)
            if records:
                positions[partition] = position + len(records)
                size += _group(grouping, partition, position, records)
        self._positions |= positions
        return Poll(grouping.batches(), grouping.marks, positions, size)

    def partitions(self) -> Collection[Partition]:
        return self._log.partitions()

    def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        return {partition: self._log.bounds(partition)[1] for partition in partitions}

    def positions(self) -> Mapping[Partition, int]:
        return {p: o for p, o in self._positions.items() if p not in self._fresh}

    def reload(self, partitions: Collection[Partition]) -> None:
        self._fresh.update(partitions)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        self.committed |= offsets

    def close(self) -> None:
        self._positions.clear()

    def _place(self) -> None:
        fresh, self._fresh = sorted(self._fresh), set()
        if not fresh or self._owner is None:
            return
        wanted = self._owner.assigned(fresh)
        for partition in fresh:
            first, end = self._log.bounds(partition)
            want = wanted.get(partition, first)
            start = want if first <= want <= end else first
            if start != want:
                self._owner.gap(Gap(partition, want, start))
            self._positions[partition] = start


def _group(grouping: Grouping, partition: Partition, offset: int, records: Sequence[MemoryRecord]) -> int:
    """Add records to a poll; return their bytes."""
    number = grouping.open(partition)
    size = 0
    for i, record in enumerate(records):
        address = grouping.address(number, record.headers)
        if address is None:
            continue
        size += len(record.value)
        group = grouping.group(address)
        group.values.append(record.value)
        group.offsets.append(offset + i)
        group.timestamps.append(record.timestamp)
        group.index.append(number)
    return size
