"""Repeated events known by their ids: exactly, within a partition, for as long as their window takes rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from mlhealth.events.messages import Partition
from mlhealth.store.event_ids import IdPlace, NewIds
from mlhealth.worker.known_ids import KnownIds

MOST = 20_000_000
"""Ids that a worker remembers (some 220 MB); those beyond are not known again."""


class EventIds:
    """The hashes of all ids seen in open windows; `held`: how many."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[IdPlace, KnownIds] = {}
        self._fresh: dict[IdPlace, list[NDArray[np.uint64]]] = {}
        self.held = 0

    def new(self, place: IdPlace, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which of a batch's keys, shape (n,), are seen for the first time, and remember those."""
        known = self._known.get(place)
        first = np.ones(len(keys), dtype=np.bool_) if known is None else ~known.contains(keys)
        added = np.sort(keys[first])
        if (added[1:] == added[:-1]).any():
            added, at = np.unique(keys[first], return_index=True)
            once = np.flatnonzero(first)[at]
            first[:] = False
            first[once] = True
        if len(added) and self.held + len(added) <= self._most:
            self.held += len(added)
            self._known.setdefault(place, KnownIds()).add(added)
            self._fresh.setdefault(place, []).append(added)
        return first

    def restore(self, stored: Iterable[NewIds]) -> None:
        """Take up what checkpoints hold."""
        by_place: dict[IdPlace, list[NDArray[np.uint64]]] = {}
        for one in stored:
            by_place.setdefault(one.place, []).append(one.hashes)
        found: dict[IdPlace, KnownIds] = {place: KnownIds() for place in by_place}
        for place, parts in by_place.items():
            found[place].add(np.unique(np.concatenate(parts)))
        self._keep(self._known | found)

    def fresh(self, offsets: Mapping[Partition, int]) -> list[NewIds]:
        """Return what the next checkpoint must add, which stands at these offsets."""
        return [
            NewIds(place, offsets[place.partition], np.concatenate(parts))
            for place, parts in sorted(self._fresh.items())
            if place.partition in offsets
        ]

    def saved(self) -> None:
        """Note that a checkpoint was written."""
        self._fresh.clear()

    def forget(self, partitions: Collection[Partition]) -> None:
        """Drop everything of these partitions."""
        gone = set(partitions)
        self._keep({k: v for k, v in self._known.items() if k.partition not in gone})
        self._fresh = {k: v for k, v in self._fresh.items() if k.partition not in gone}

    def retire(self, model: str, version: str, before: int) -> None:
        """Forget windows of a model version that start before `before`."""
        self._keep(
            {
                k: v
                for k, v in self._known.items()
                if (k.model, k.version) != (model, version) or k.start >= before or k in self._fresh
            }
        )

    def _keep(self, known: dict[IdPlace, KnownIds]) -> None:
        self._known = known
        self.held = sum(map(len, known.values()))
