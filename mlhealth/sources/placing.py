"""Where reading a partition begins: where the owner says, or at the first message that is still there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from mlhealth.events.messages import Partition
from mlhealth.sources.base import Gap, Owner

Bounds = Callable[[Collection[Partition]], Mapping[Partition, tuple[int, int]]]
"""Returns the offset of the first message of each partition, and the one after its last."""


def place(owner: Owner, partitions: Collection[Partition], bounds: Bounds) -> dict[Partition, int]:
    """Return the offset from which to read each partition, telling the owner of what is gone."""
    wanted = owner.assigned(partitions)
    found = bounds(partitions)
    places: dict[Partition, int] = {}
    for partition in sorted(partitions):
        first, end = found[partition]
        want = wanted.get(partition, first)
        places[partition] = start = want if first <= want <= end else first
        if start != want:
            owner.gap(Gap(partition, want, start))
    return places
