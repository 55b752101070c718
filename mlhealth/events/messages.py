"""`Messages`: what polls of a source brought, as columns; values stay raw bytes until they are decoded in bulk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

STREAM_END = "#"
"""In the name of a topic that is a file: before it stands the folder. No topic of Kafka can have it in its name."""


@dataclass(frozen=True, order=True)
class Partition:
    """One ordered log of a source: a Kafka topic's partition, an inbox, a file."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"

    @property
    def stream(self) -> str:
        """The name shared by partitions that hold one stream of events: the topic, or a folder of files."""
        return self.topic.partition(STREAM_END)[0]


@dataclass(frozen=True)
class Messages:
    """Consecutive messages of any number of partitions, n in all.

    `values`: the n raw bodies, b"" where there is none. `offsets`: (n,) int64. `timestamps`: (n,) int64, when the
    source says each was written, in microseconds since the epoch. `partitions` and `index`: message i came from
    `partitions[index[i]]`, index (n,) int32.
    """

    values: Sequence[bytes]
    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64]
    partitions: tuple[Partition, ...]
    index: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """How many bytes each value has, shape (n,)."""
        return np.fromiter(map(len, self.values), dtype=np.int64, count=len(self.values))

    def take(self, positions: NDArray[np.intp]) -> Messages:
        """Return the messages at the given positions, in that order."""
        return Messages(
            [self.values[i] for i in positions.tolist()],
            self.offsets[positions],
            self.timestamps[positions],
            self.partitions,
            self.index[positions],
        )

    def pieces(self, most_bytes: int) -> Iterator[Messages]:
        """Yield the messages in their order, so many bytes at once but always one message."""
        ends = np.cumsum(self.sizes)
        first = 0
        while first < len(self):
            before = int(ends[first - 1]) if first else 0
            last = max(int(np.searchsorted(ends, before + most_bytes, side="right")), first + 1)
            part = slice(first, last)
            yield Messages(
                self.values[part],
                self.offsets[part],
                self.timestamps[part],
                self.partitions,
                self.index[part],
            )
            first = last

    @classmethod
    def concat(cls, parts: Sequence[Messages]) -> Messages:
        """Return all messages of the parts, in their order."""
        if len(parts) == 1:
            return parts[0]
        numbers: dict[Partition, int] = {}
        for part in parts:
            for partition in part.partitions:
                numbers.setdefault(partition, len(numbers))
        index = [
            np.array([numbers[p] for p in part.partitions], dtype=np.int32)[part.index] for part in parts
        ]
        return cls(
            [value for part in parts for value in part.values],
            np.concatenate([part.offsets for part in parts]),
            np.concatenate([part.timestamps for part in parts]),
            tuple(numbers),
            np.concatenate(index),
        )
