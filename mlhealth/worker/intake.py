"""Polled messages → partial profiles in memory, and beside them all that a checkpoint must hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlhealth.events.batch import TIME, EventBatch
from mlhealth.events.messages import Messages, Partition
from mlhealth.profile import WindowProfile
from mlhealth.records import Rejection
from mlhealth.sources.base import Address, Mark, Poll
from mlhealth.store.checkpoints import (
    Advance,
    Checkpoint,
    Count,
    PartialKey,
    RejectedEvent,
    Restored,
    Seen,
    StoredPartial,
)
from mlhealth.windows import Pane, implausible, split
from mlhealth.worker.decoding import Decoded, by_model, decode
from mlhealth.worker.models import Models, Runtime

_KEPT_REJECTIONS = 1_000
"""Addresses kept per partition and checkpoint; beyond them, rejections are only counted."""


@dataclass
class Partial:
    """A growing profile; `saved`: its rows at the last checkpoint."""

    profile: WindowProfile
    end: int
    first_offset: int
    saved: int = 0

    @property
    def is_dirty(self) -> bool:
        return self.profile.rows != self.saved


@dataclass
class _Log:
    """How far one partition has come: at the last checkpoint (None: never), and now."""

    checkpoint: int | None
    position: int


class Intake:
    """All that one worker has read and not yet checkpointed, and the open partials of its partitions."""

    def __init__(self, models: Models, *, max_message_bytes: int = 32 * 1024 * 1024) -> None:
        self._models = models
        self._max_bytes = max_message_bytes
        self._logs: dict[Partition, _Log] = {}
        self._partials: dict[PartialKey, Partial] = {}
        self._seen: dict[tuple[str, str, Partition], Seen] = {}
        self._fresh: set[tuple[str, str, Partition]] = set()
        self._waiting: dict[Address, list[Messages]] = {}
        self._counts: Counter[tuple[Partition, str, str, str]] = Counter()
        self._rejected: dict[Partition, list[RejectedEvent]] = {}
        self.buffered = 0

    @property
    def open_partials(self) -> int:
        """How many partial profiles are held."""
        return len(self._partials)

    def restore(self, partitions: Collection[Partition], found: Restored) -> dict[Partition, int]:
        """Start again from what the store holds of these partitions; return their offsets."""
        self.forget(partitions)
        for partition in partitions:
            offset = found.offsets.get(partition)
            self._logs[partition] = _Log(offset, offset or 0)
        for stored in found.partials:
            layout = self._models.ready(stored.key.baseline).layout
            profile = WindowProfile.from_bytes(stored.profile, layout)
            self._partials[stored.key] = Partial(profile, stored.end, stored.first_offset, profile.rows)
        for seen in found.seen:
            self._seen[seen.model, seen.version, seen.partition] = seen
        return {p: o for p, o in found.offsets.items() if p in self._logs}

    def forget(self, partitions: Collection[Partition]) -> None:
        """Drop everything of these partitions, what waits to be decoded included."""
        gone = set(partitions)
        self._waiting = {a: [_without(m, gone) for m in parts] for a, parts in self._waiting.items()}
        self._logs = {p: log for p, log in self._logs.items() if p not in gone}
        self._partials = {k: v for k, v in self._partials.items() if k.partition not in gone}
        self._seen = {k: v for k, v in self._seen.items() if k[2] not in gone}
        self._fresh = {k for k in self._fresh if k[2] not in gone}
        self._counts = Counter({k: v for k, v in self._counts.items() if k[0] not in gone})
        self._rejected = {p: r for p, r in self._rejected.items() if p not in gone}

    def add(self, poll: Poll, now: int) -> None:
        """Take a poll in; its messages wait to be decoded together with others of their model version."""
        for address, messages in poll.batches:
            self._waiting.setdefault(address, []).append(messages)
        self.buffered += poll.bytes
        for partition, position in (poll.positions or {}).items():
            if partition in self._logs:
                self._logs[partition].position = position
        if poll.marks:
            self.flush(now)
            for mark in poll.marks:
                self._mark(mark, now)

    def place(self, partition: Partition, position: int) -> None:
        """Note where reading a partition goes on, when it moved without a message."""
        if partition in self._logs:
            self._logs[partition].position = position

    def flush(self, now: int) -> None:
        """Decode and profile everything that waits.

        Where the store does not answer, nothing of the model version concerned has been taken, and all of it waits on.
        """
        for address in list(self._waiting):
            groups = list(by_model(address, Messages.concat(self._waiting[address])))
            for whose, _ in groups:
                self._models.prepare(whose.model, whose.version)
            for whose, messages in groups:
                self._take(whose, messages, now)
            del self._waiting[address]
        self.buffered = 0

    def _take(self, address: Address, messages: Messages, now: int) -> None:
        runtime = self._models.newest(address.model, address.version)
        if runtime is None:
            self._unclaimed(address, messages)
            return
        messages = self._without_oversized(address, messages)
        decoded = decode(address, messages, runtime.baseline.schema)
        self._reject(address, messages, decoded.rejections)
        batch, message = self._plausible(address, messages, decoded, runtime)
        if batch.rows == 0:
            return
        times = batch.array(TIME).astype(np.int64, copy=False)
        for partition, latest in _latest(times, messages, message):
            self._mark(Mark(address, partition, latest - runtime.config.disorder), now)
        for pane in split(batch, messages.index[message], runtime.spec.size):
            self._add_pane(address, messages, pane, message)

    def _unclaimed(self, address: Address, messages: Messages) -> None:
        """Count events of a model version for which no baseline speaks, and keep their addresses."""
        known = bool(address.model)
        outcome = "unknown_model" if known else "no_model"
        reason = (
            f"no baseline speaks for model {address.model} version {address.version}"
            if known
            else "the message names no model: neither headers, nor topic configuration, nor body"
        )
        for i, (number, offset) in enumerate(
            zip(messages.index.tolist(), messages.offsets.tolist(), strict=True)
        ):
            partition = messages.partitions[number]
            self._counts[partition, address.model, address.version, outcome] += 1
            if i < _KEPT_REJECTIONS:
                self._keep(
                    partition,
                    RejectedEvent(_rejection(partition, offset, reason), address.model, address.version),
                )

    def _without_oversized(self, address: Address, messages: Messages) -> Messages:
        sizes = np.fromiter(map(len, messages.values), dtype=np.int64, count=len(messages))
        large = sizes > self._max_bytes
        if not large.any():
            return messages
        for i in np.flatnonzero(large).tolist():
            reason = f"the message has {sizes[i]} bytes, more than the {self._max_bytes} allowed (max_message_bytes)"
            rejection = _rejection(messages.partitions[messages.index[i]], int(messages.offsets[i]), reason)
            self._reject(address, messages, [rejection])
        return messages.take(np.flatnonzero(~large))

    def _reject(
        self, address: Address, messages: Messages, found: Iterable[Rejection], outcome: str = "rejected"
    ) -> None:
        for rejection in found:
            partition = Partition(rejection.source, rejection.partition)
            self._counts[partition, address.model, address.version, outcome] += 1
            self._keep(partition, RejectedEvent(rejection, address.model, address.version))

    def _keep(self, partition: Partition, rejected: RejectedEvent) -> None:
        kept = self._rejected.setdefault(partition, [])
        if len(kept) < _KEPT_REJECTIONS:
            kept.append(rejected)

    def _plausible(
        self, address: Address, messages: Messages, decoded: Decoded, runtime: Runtime
    ) -> tuple[EventBatch, NDArray[np.int32]]:
        """Return the rows whose time can be, and put the others aside."""
        batch, message = decoded.batch, decoded.message
        if batch.rows == 0:
            return batch, message
        times = batch.array(TIME).astype(np.int64, copy=False)
        keep = np.ones(batch.rows, dtype=np.bool_)
        for fault in implausible(times, messages.timestamps[message], runtime.spec.allowance):
            rows = np.flatnonzero(fault.rows & keep)
            rejections = [_of_row(messages, decoded, row, fault.reason) for row in rows.tolist()]
            self._reject(address, messages, rejections, fault.outcome)
            keep &= ~fault.rows
        return (batch, message) if keep.all() else (batch.take(keep), message[keep])

    def _mark(self, mark: Mark, now: int) -> None:
        if mark.partition not in self._logs:
            return
        key = (mark.address.model, mark.address.version, mark.partition)
        known = self._seen.get(key)
        latest = mark.event_time if known is None else max(mark.event_time, known.event_time)
        self._seen[key] = Seen(*key, latest, now)
        self._fresh.add(key)

    def _add_pane(self, address: Address, messages: Messages, pane: Pane, message: NDArray[np.int32]) -> None:
        partition = messages.partitions[pane.partition]
        count = (partition, address.model, address.version)
        runtime = self._models.at(address.model, address.version, pane.start)
        if runtime is None:
            self._counts[*count, "waiting"] += pane.batch.rows
            return
        self._counts[*count, "accepted"] += pane.batch.rows
        first = int(messages.offsets[messages.index == pane.partition].min())
        for segment, batch in _by_segment(pane.batch, runtime):
            key = PartialKey(
                address.model, address.version, segment, pane.start, partition, runtime.baseline.hash
            )
            self._merge(
                key,
                pane.start + runtime.spec.size,
                first,
                WindowProfile.of(batch, runtime.layout, sample=not segment),
            )

    def _merge(self, key: PartialKey, end: int, first: int, profile: WindowProfile) -> None:
        known = self._partials.get(key)
        if known is None:
            self._partials[key] = Partial(profile, end, first)
        else:
            known.profile = known.profile.merge(profile)

    def checkpoint(self, owner: str, now: int) -> Checkpoint | None:
        """Return what the next checkpoint must hold, None where nothing happened."""
        advances = [Advance(p, log.checkpoint, log.position) for p, log in sorted(self._logs.items())]
        advances = [a for a in advances if a.previous != a.next]
        if not advances and not self._fresh:
            return None
        return Checkpoint(
            owner,
            now,
            advances,
            [_stored(key, partial) for key, partial in sorted(self._partials.items()) if partial.is_dirty],
            [self._seen[key] for key in sorted(self._fresh)],
            [Count(*key, events) for key, events in sorted(self._counts.items())],
            [rejected for _, kept in sorted(self._rejected.items()) for rejected in kept],
        )

    def late(self, refused: Collection[PartialKey]) -> list[Count]:
        """Return what to count for rows whose window takes no more: late instead of accepted."""
        counts: list[Count] = []
        for key in refused:
            partial = self._partials[key]
            if key.segment == "":
                rows = partial.profile.rows - partial.saved
                counts.append(Count(key.partition, key.model, key.version, "accepted", -rows))
                counts.append(Count(key.partition, key.model, key.version, "late", rows))
        return counts

    def saved(self, checkpoint: Checkpoint, refused: Sequence[PartialKey]) -> None:
        """Note that a checkpoint was written, all but the refused partials."""
        for advance in checkpoint.advances:
            self._logs[advance.partition].checkpoint = advance.next
        for partial in self._partials.values():
            partial.saved = partial.profile.rows
        for key in refused:
            del self._partials[key]
        self._fresh.clear()
        self._counts.clear()
        self._rejected.clear()

    def retire(self, model: str, version: str, final_end: int) -> None:
        """Forget windows that take no more rows."""
        gone = [
            key
            for key, partial in self._partials.items()
            if (key.model, key.version) == (model, version)
            and partial.end <= final_end
            and not partial.is_dirty
        ]
        for key in gone:
            del self._partials[key]


def _latest(
    times: NDArray[np.int64], messages: Messages, message: NDArray[np.int32]
) -> Iterable[tuple[Partition, int]]:
    """Return the latest time of the rows that came from each partition."""
    numbers = messages.index[message]
    for number in np.unique(numbers).tolist():
        yield messages.partitions[number], int(times[numbers == number].max())


def _without(messages: Messages, gone: Collection[Partition]) -> Messages:
    stays = np.array([p not in gone for p in messages.partitions], dtype=np.bool_)
    return messages if stays.all() else messages.take(np.flatnonzero(stays[messages.index]))


def _by_segment(batch: EventBatch, runtime: Runtime) -> Iterable[tuple[str, EventBatch]]:
    yield "", batch
    for column in runtime.segments:
        codes = column.codes(batch.table)
        for code in np.unique(codes).tolist():
            yield column.segments[code], batch.take(codes == code)


def _stored(key: PartialKey, partial: Partial) -> StoredPartial:
    return StoredPartial(
        key, partial.end, partial.profile.rows, partial.first_offset, partial.profile.to_bytes()
    )


def _rejection(partition: Partition, offset: int, reason: str) -> Rejection:
    return Rejection(partition.topic, partition.number, offset, 0, reason)


def _of_row(messages: Messages, decoded: Decoded, row: int, reason: str) -> Rejection:
    """Return the rejection of one decoded row; its number within its message is counted from the rows before it."""
    message = int(decoded.message[row])
    first = int(np.searchsorted(decoded.message, message))
    partition = messages.partitions[messages.index[message]]
    return Rejection(partition.topic, partition.number, int(messages.offsets[message]), row - first, reason)
