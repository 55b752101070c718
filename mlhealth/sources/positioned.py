"""What sources share that keep their positions themselves: which partitions are held, from where, and pausing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping

from mlhealth.events.messages import Partition
from mlhealth.sources.base import Owner, Source
from mlhealth.sources.placing import place


class PositionedSource(Source):
    """A source whose reader holds `_positions`; `_fresh` partitions are placed at the next poll, as the owner says."""

    def __init__(self) -> None:
        self._owner: Owner | None = None
        self._positions: dict[Partition, int] = {}
        self._fresh: set[Partition] = set()
        self._paused = False

    def start(self, owner: Owner) -> None:
        self._owner = owner

    def positions(self) -> Mapping[Partition, int]:
        return {p: offset for p, offset in self._positions.items() if p not in self._fresh}

    def reload(self, partitions: Collection[Partition]) -> None:
        self._fresh.update(partitions)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def close(self) -> None:
        self._positions.clear()

    @abstractmethod
    def _bounds(self, partitions: Collection[Partition]) -> Mapping[Partition, tuple[int, int]]:
        """Return the offset of the first message of each partition, and the one after its last."""

    def _place(self) -> dict[Partition, int]:
        """Place what is fresh, and return from where it is read."""
        fresh = set(self._fresh)
        if not fresh or self._owner is None:
            return {}
        found = place(self._owner, fresh, self._bounds)
        self._positions |= found
        self._fresh -= fresh
        return found
