"""Partial profiles that this version cannot read: built again from the messages they were made of.

Reading their partition starts again at the first message of the oldest such window. Until it is back where the last
checkpoint stood, rows are only taken for those windows, and nothing else is counted a second time; the rebuilt
profiles are written when they are whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from mlhealth.events.messages import Messages, Partition
from mlhealth.store.checkpoints import PartialKey, StoredPartial
from mlhealth.worker.duplicates import EventIds

Window = tuple[str, str, int]
"""Model, version and start."""


@dataclass
class _Task:
    """What one partition is read again for: from `first` up to before `until`."""

    first: int
    until: int
    windows: set[Window] = field(default_factory=set)
    partials: list[StoredPartial] = field(default_factory=list)


class Rebuilding:
    """The partitions that are being read again."""

    def __init__(self) -> None:
        self._tasks: dict[Partition, _Task] = {}
        self.ids = EventIds()

    def begin(self, stored: StoredPartial, until: int) -> None:
        """Plan to build a partial again; its partition's checkpoint stands at `until`."""
        key = stored.key
        task = self._tasks.setdefault(key.partition, _Task(stored.first_offset, until))
        task.first = min(task.first, stored.first_offset)
        task.windows.add((key.model, key.version, key.start))

    def note(self, stored: StoredPartial) -> None:
        """Remember a stored partial that the rebuilt window replaces."""
        self._tasks[stored.key.partition].partials.append(stored)

    def starts(self) -> dict[Partition, int]:
        """Return from where each partition is read again."""
        return {partition: task.first for partition, task in self._tasks.items()}

    def concerns(self, key: PartialKey) -> bool:
        """Whether a partial belongs to a window that is not whole yet."""
        return self.wants((key.model, key.version, key.start), key.partition)

    def wants(self, window: Window, partition: Partition) -> bool:
        """Whether rows of a window are read again in a partition."""
        task = self._tasks.get(partition)
        return task is not None and window in task.windows

    def split(self, messages: Messages) -> tuple[Messages, Messages]:
        """Return the messages that are read for the second time, and the others."""
        if not self._tasks:
            return messages.take(np.zeros(0, dtype=np.intp)), messages
        until = np.array([self._until(partition) for partition in messages.partitions], dtype=np.int64)
        again = messages.offsets < until[messages.index]
        return messages.take(np.flatnonzero(again)), messages.take(np.flatnonzero(~again))

    def finish(self, positions: Mapping[Partition, int]) -> list[StoredPartial]:
        """End the tasks whose partition is back where it stood; return partials that are whole now, as stored."""
        done = [p for p, task in self._tasks.items() if positions.get(p, -1) >= task.until]
        self.ids.forget(done)
        return [stored for p in done for stored in self._tasks.pop(p).partials]

    def forget(self, partitions: Collection[Partition]) -> None:
        """Drop what concerns these partitions."""
        gone = set(partitions)
        self._tasks = {p: task for p, task in self._tasks.items() if p not in gone}
        self.ids.forget(gone)

    def _until(self, partition: Partition) -> int:
        task = self._tasks.get(partition)
        return 0 if task is None else task.until
