"""How far reading has come, in each partition and for each model version in it, and what of that is new."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mlhealth.events.messages import Partition
from mlhealth.sources.base import Mark
from mlhealth.store.checkpoints import Advance, Seen


@dataclass
class _Log:
    """How far one partition has come: at the last checkpoint (None: never), and now.

    `is_anew`: the log was made anew since that checkpoint, so `position` may lie before it.
    """

    checkpoint: int | None
    position: int
    is_anew: bool = False


class Reached:
    """Offsets and latest event times of the partitions that are read here."""

    def __init__(self) -> None:
        self._logs: dict[Partition, _Log] = {}
        self._seen: dict[tuple[str, str, Partition], Seen] = {}
        self._fresh: set[tuple[str, str, Partition]] = set()

    @property
    def partitions(self) -> Collection[Partition]:
        """The partitions that are read here."""
        return self._logs.keys()

    @property
    def positions(self) -> Mapping[Partition, int]:
        """Where reading goes on."""
        return {partition: log.position for partition, log in self._logs.items()}

    @property
    def fresh(self) -> list[Seen]:
        """The latest event times that changed since the last checkpoint."""
        return [self._seen[key] for key in sorted(self._fresh)]

    def begin(self, partition: Partition, offset: int | None) -> None:
        """Take a partition whose last checkpoint stands at `offset` (None: there is none)."""
        self._logs[partition] = _Log(offset, offset or 0)

    def restore(self, seen: Iterable[Seen]) -> None:
        """Take up the latest event times that the store holds."""
        self._seen.update({(one.model, one.version, one.partition): one for one in seen})

    def forget(self, partitions: Collection[Partition]) -> None:
        """Drop everything of these partitions."""
        gone = set(partitions)
        self._logs = {p: log for p, log in self._logs.items() if p not in gone}
        self._seen = {k: v for k, v in self._seen.items() if k[2] not in gone}
        self._fresh = {k for k in self._fresh if k[2] not in gone}

    def place(self, partition: Partition, position: int, *, is_anew: bool = False) -> None:
        """Note where reading a partition goes on; `is_anew`: because its log was made anew."""
        if log := self._logs.get(partition):
            log.position, log.is_anew = position, log.is_anew or is_anew

    def mark(self, mark: Mark, now: int) -> None:
        """Note how far event time has come."""
        if mark.partition not in self._logs:
            return
        key = (mark.address.model, mark.address.version, mark.partition)
        known = self._seen.get(key)
        latest = mark.event_time if known is None else max(mark.event_time, known.event_time)
        # A clock that was set back, and is put right later, must not make this look like a long silence.
        self._seen[key] = Seen(*key, latest, now if known is None else max(now, known.seen))
        self._fresh.add(key)

    def advances(self, changed: Collection[Partition]) -> list[Advance]:
        """Return the partitions that moved since the last checkpoint, were made anew, or are `changed` otherwise."""
        return [
            Advance(p, log.checkpoint, log.position)
            for p, log in sorted(self._logs.items())
            if log.checkpoint is None or log.checkpoint < log.position or log.is_anew or p in changed
        ]

    def saved(self, advances: Iterable[Advance]) -> None:
        """Note that a checkpoint was written."""
        for advance in advances:
            log = self._logs[advance.partition]
            log.checkpoint, log.is_anew = advance.next, False
        self._fresh.clear()
