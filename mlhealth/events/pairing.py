"""Requests and responses that come apart, brought together by id: bounded, restartable, with every loss counted.

Each half waits until the other comes. A half is given up when both requests and responses of its model version, in
partitions of its number, have been read that were written later than it by the window; or when more wait than may, the
oldest first. So a log that is read ahead of the other costs nothing. The pair counts where its second half lay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mlhealth.config.payload import PairingConfig
from mlhealth.errors import DataError
from mlhealth.events.envelope import REQUEST, RESPONSE, Half, Pair, unpacked
from mlhealth.events.messages import Messages, Partition

Key = tuple[str, str, str, str]
"""Model, version, id and kind of a half."""


_Flow = tuple[str, str, str, int]
"""Model, version, kind and partition number: halves that come in order."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A half that waits: where it lies, when it was written (microseconds), and itself as a message."""

    key: Key
    format: str
    partition: Partition
    offset: int
    written: int
    body: bytes


@dataclass(frozen=True)
class Changes:
    """What a checkpoint must add to the halves it holds, and take away."""

    added: Sequence[Waiting] = ()
    gone: Sequence[tuple[Partition, int]] = ()


@dataclass
class Paired:
    """What became of some messages: pairs (as messages where their second halves lay), faults, halves given up."""

    values: list[bytes] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)
    lost: list[Waiting] = field(default_factory=list)

    def messages(self, messages: Messages) -> Messages:
        """Return the pairs as messages; `messages` are those that were given to `Pairing.add`."""
        at = np.array(self.at, dtype=np.intp)
        return Messages(
            self.values,
            messages.offsets[at],
            messages.timestamps[at],
            messages.partitions,
            messages.index[at],
        )


class Pairing:
    """All halves that one worker has and whose other halves it has not seen."""

    def __init__(self, config: PairingConfig | None = None) -> None:
        self._config = config or PairingConfig()
        self._waiting: dict[Key, Waiting] = {}
        self._added: dict[tuple[Partition, int], Waiting] = {}
        self._gone: list[tuple[Partition, int]] = []
        self._reached: dict[_Flow, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def bytes(self) -> int:
        """How many bytes wait."""
        return self._bytes

    def add(self, model: str, version: str, kind: str, messages: Messages) -> Paired:
        """Take halves of one model version in `kind` of format; return what they became."""
        out = Paired()
        for i, value in enumerate(messages.values):
            try:
                half = unpacked(value)
            except DataError as error:
                out.faults.append((i, str(error)))
                continue
            self._take((model, version, half.id, half.kind), kind, half, messages, i, out)
        out.lost += self._expired()
        return out

    def _take(self, key: Key, kind: str, half: Half, messages: Messages, i: int, out: Paired) -> None:  # noqa: PLR0917
        partition, written = messages.partitions[messages.index[i]], int(messages.timestamps[i])
        flow = (key[0], key[1], half.kind, partition.number)
        self._reached[flow] = max(written, self._reached.get(flow, written))
        other = self._waiting.get((*key[:3], RESPONSE if half.kind == REQUEST else REQUEST))
        if other is not None:
            self._drop(other)
            found = unpacked(other.body)
            pair = Pair(half, found) if half.kind == REQUEST else Pair(found, half)
            out.values.append(pair.packed())
            out.at.append(i)
            return
        again = self._waiting.get(key)
        if again is not None:
            self._drop(again)
            out.lost.append(again)
        self._keep(Waiting(key, kind, partition, int(messages.offsets[i]), written, half.packed()))

    def _keep(self, waiting: Waiting) -> None:
        self._waiting[waiting.key] = waiting
        self._bytes += len(waiting.body)
        self._added[waiting.partition, waiting.offset] = waiting

    def _drop(self, waiting: Waiting) -> None:
        del self._waiting[waiting.key]
        self._bytes -= len(waiting.body)
        place = (waiting.partition, waiting.offset)
        if self._added.pop(place, None) is None:
            self._gone.append(place)

    def _expired(self) -> list[Waiting]:
        """Give up halves that waited too long, or that are the oldest of too many; they lie in order of arrival."""
        lost: list[Waiting] = []
        count, size = len(self._waiting), self._bytes
        newest = max(self._reached.values(), default=0)
        for waiting in self._waiting.values():
            over = count > self._config.max_halves or size > self._config.max_bytes
            ends = waiting.written + self._config.window
            if not over and ends >= newest:
                break
            if over or ends < self._both_reached(waiting):
                lost.append(waiting)
                count, size = count - 1, size - len(waiting.body)
        for waiting in lost:
            self._drop(waiting)
        return lost

    def _both_reached(self, waiting: Waiting) -> int:
        """Return up to when both requests and responses beside a half have been read."""
        model, version = waiting.key[:2]
        flows = ((model, version, kind, waiting.partition.number) for kind in (REQUEST, RESPONSE))
        return min(self._reached.get(flow, waiting.written) for flow in flows)

    def changes(self) -> Changes:
        """Return what the next checkpoint must hold."""
        return Changes(tuple(self._added.values()), tuple(self._gone))

    def saved(self) -> None:
        """Note that a checkpoint holds the changes."""
        self._added.clear()
        self._gone.clear()

    def restore(self, halves: Iterable[Waiting]) -> None:
        """Take in what the checkpoints hold, oldest first."""
        for waiting in sorted(halves, key=lambda w: (w.written, w.partition, w.offset)):
            self._waiting[waiting.key] = waiting
            self._bytes += len(waiting.body)

    def forget(self, partitions: Collection[Partition]) -> None:
        """Drop what lies in these partitions: someone else has them, or they are read again."""
        gone = set(partitions)
        for waiting in [w for w in self._waiting.values() if w.partition in gone]:
            del self._waiting[waiting.key]
            self._bytes -= len(waiting.body)
        self._added = {place: w for place, w in self._added.items() if place[0] not in gone}
        self._gone = [place for place in self._gone if place[0] not in gone]
        numbers = {partition.number for partition in gone}
        self._reached = {flow: reached for flow, reached in self._reached.items() if flow[3] not in numbers}
