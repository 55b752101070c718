"""Repeated events known by their ids: exactly, within a partition, for as long as their window takes rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from mlhealth.events.messages import Partition
from mlhealth.store.event_ids import IdPlace, NewIds

MOST = 20_000_000
"""Ids that a worker remembers (160 MB); those beyond are not known again."""


class EventIds:
    """The hashes of all ids seen in open windows; `held`: how many."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[IdPlace, NDArray[np.uint64]] = {}
        self._fresh: dict[IdPlace, list[NDArray[np.uint64]]] = {}
        self.held = 0

    def new(self, place: IdPlace, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which of a batch's keys, shape (n,), are seen for the first time, and remember those."""
        known = self._known.get(place, np.zeros(0, dtype=np.uint64))
        first = np.zeros(len(keys), dtype=np.bool_)
        distinct, at = np.unique(keys, return_index=True)
        found = np.searchsorted(known, distinct)
        is_known = known[np.minimum(found, len(known) - 1)] == distinct if len(known) else found < 0
        first[at[~is_known]] = True
        added = distinct[~is_known]
        if len(added) and self.held + len(added) <= self._most:
            self.held += len(added)
            self._known[place] = np.insert(known, found[~is_known], added)
            self._fresh.setdefault(place, []).append(added)
        return first

    def restore(self, stored: Iterable[NewIds]) -> None:
        """Take up what checkpoints hold."""
        by_place: dict[IdPlace, list[NDArray[np.uint64]]] = {}
        for one in stored:
            by_place.setdefault(one.place, []).append(one.hashes)
        self._keep(
            self._known | {place: np.unique(np.concatenate(parts)) for place, parts in by_place.items()}
        )

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

    def _keep(self, known: dict[IdPlace, NDArray[np.uint64]]) -> None:
        self._known = known
        self.held = sum(map(len, known.values()))
