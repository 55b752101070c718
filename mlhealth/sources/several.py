"""Several sources read by one worker, each with partitions of its own."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from mlhealth.errors import ConfigError, SourceUnavailable
from mlhealth.events.messages import Partition
from mlhealth.sources.base import DeadLetter, Gap, Owner, Poll, Source

logger = logging.getLogger(__name__)


class SeveralSources(Source):
    """See `Source`. One that does not answer holds up none of the others; windows wait for all of them to close."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._members = [_Member(source) for source in sources]
        self._waiting: list[_Member] = list(self._members)
        self._turn = 0

    def start(self, owner: Owner) -> None:
        """Start every source; raises SourceUnavailable until each has been started once."""
        for member in self._members:
            member.owner = owner
        for member in list(self._waiting):
            member.source.start(member)
            self._waiting.remove(member)

    def poll(self, timeout: float) -> Poll:
        self._turn += 1
        polls: list[Poll] = []
        failed: list[SourceUnavailable] = []
        for number, member in enumerate(self._members):
            wait = timeout / len(self._members) if number == self._turn % len(self._members) else 0.01
            try:
                polls.append(member.source.poll(wait))
            except SourceUnavailable as error:
                failed.append(error)
        if failed and not polls:
            raise failed[0]
        for passing in failed:
            logger.warning("%s; the other sources go on", passing)
        return Poll(
            [batch for poll in polls for batch in poll.batches],
            [mark for poll in polls for mark in poll.marks],
            {p: offset for poll in polls for p, offset in (poll.positions or {}).items()},
        )

    def partitions(self) -> Collection[Partition]:
        found = [p for member in self._members for p in member.source.partitions()]
        doubled = {p for p in found if found.count(p) > 1} if len(set(found)) < len(found) else set()
        if doubled:
            raise ConfigError(
                f"sources: {min(doubled)} is in two sources; results are kept by topic, so names must differ"
            )
        return found

    def ends(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        found: dict[Partition, int] = {}
        for member in self._members:
            mine = set(member.source.partitions()) & set(partitions)
            found |= member.source.ends(sorted(mine)) if mine else {}
        return found

    def positions(self) -> Mapping[Partition, int]:
        return {p: o for member in self._members for p, o in member.source.positions().items()}

    def reload(self, partitions: Collection[Partition]) -> None:
        for member, mine in self._shared(partitions):
            member.source.reload(mine)

    def pause(self) -> None:
        for member in self._members:
            member.source.pause()

    def resume(self) -> None:
        for member in self._members:
            member.source.resume()

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        for member, mine in self._shared(offsets):
            member.source.commit({p: offsets[p] for p in mine})

    def set_aside(self, letters: Sequence[DeadLetter]) -> int:
        return sum(
            member.source.set_aside([letter for letter in letters if letter.partition in mine])
            for member, mine in self._shared({letter.partition for letter in letters})
        )

    def close(self) -> None:
        for member in self._members:
            member.source.close()

    def _shared(self, partitions: Collection[Partition]) -> list[tuple[_Member, set[Partition]]]:
        shared = [(member, member.held & set(partitions)) for member in self._members]
        return [(member, mine) for member, mine in shared if mine]


class _Member(Owner):
    """One of the sources, and the partitions of it that are ours."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.owner: Owner | None = None
        self.held: set[Partition] = set()

    def assigned(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        found = self._owner.assigned(partitions)
        self.held.update(partitions)
        return found

    def revoked(self, partitions: Collection[Partition]) -> None:
        self._owner.revoked(partitions)
        self.held.difference_update(partitions)

    def lost(self, partitions: Collection[Partition]) -> None:
        self._owner.lost(partitions)
        self.held.difference_update(partitions)

    def gap(self, gap: Gap) -> None:
        self._owner.gap(gap)

    @property
    def _owner(self) -> Owner:
        if self.owner is None:
            raise RuntimeError("a source called its owner before it was started")
        return self.owner
