"""Polled messages → partial profiles in memory, and beside them all that a checkpoint must hold."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlhealth.errors import BaselineError
from mlhealth.events.batch import TIME, EventBatch
from mlhealth.events.labels import LABEL_FORMAT
from mlhealth.events.messages import Messages, Partition
from mlhealth.records import Rejection
from mlhealth.sources.base import Address, DeadLetter, Gap, Mark, Poll
from mlhealth.store.checkpoints import (
    Advance,
    Checkpoint,
    Count,
    PartialKey,
    Restored,
    Seen,
    StoredPartial,
)
from mlhealth.windows import implausible
from mlhealth.worker.decoding import Decoded, by_model, decode, is_paired, prepare
from mlhealth.worker.duplicates import EventIds
from mlhealth.worker.growing import OpenProfiles, Rows, Terms
from mlhealth.worker.halves import Halves
from mlhealth.worker.label_intake import LabelIntake, reading_version
from mlhealth.worker.ledger import Ledger, address_of
from mlhealth.worker.models import Models, Runtime
from mlhealth.worker.rebuilding import Rebuilding

logger = logging.getLogger(__name__)


@dataclass
class _Log:
    """How far one partition has come: at the last checkpoint (None: never), and now.

    `is_anew`: the log was made anew since that checkpoint, so `position` may lie before it.
    """

    checkpoint: int | None
    position: int
    is_anew: bool = False


class Intake:
    """All that one worker has read and not yet checkpointed, and the open partials of its partitions."""

    def __init__(self, models: Models, *, max_message_bytes: int = 32 * 1024 * 1024) -> None:
        self._models = models
        self._max_bytes = max_message_bytes
        self._logs: dict[Partition, _Log] = {}
        self._open = OpenProfiles()
        self._seen: dict[tuple[str, str, Partition], Seen] = {}
        self._fresh: set[tuple[str, str, Partition]] = set()
        self._waiting: dict[Address, list[Messages]] = {}
        self._sizes: dict[Address, int] = {}
        self._finals: dict[tuple[str, str], int] = {}
        self._rebuilding = Rebuilding()
        self._ids = EventIds()
        self._ledger = Ledger()
        self._labels = LabelIntake(self._ledger)
        self._halves = Halves(models.pairing, self._ledger)
        self.buffered = 0

    @property
    def letters(self) -> list[DeadLetter]:
        """The messages since the last checkpoint that could not be used."""
        return self._ledger.letters

    @property
    def partitions(self) -> Collection[Partition]:
        """The partitions that are read here."""
        return self._logs.keys()

    @property
    def open_partials(self) -> int:
        """How many partial profiles are held."""
        return len(self._open)

    @property
    def event_ids(self) -> int:
        """How many ids are remembered, to know repeated events."""
        return self._ids.held

    @property
    def halves(self) -> int:
        """How many requests and responses wait for each other."""
        return self._halves.waiting

    @property
    def labels(self) -> int:
        """How many labels wait for the next checkpoint."""
        return len(self._labels)

    def restore(self, partitions: Collection[Partition], found: Restored) -> dict[Partition, int]:
        """Start again from what the store holds of these partitions; return their offsets."""
        self.forget(partitions)
        for partition in partitions:
            offset = found.offsets.get(partition)
            self._logs[partition] = _Log(offset, offset or 0)
        for stored in found.partials:
            self._restore(stored, found.offsets[stored.key.partition])
        for stored in (p for p in found.partials if self._rebuilding.concerns(p.key)):
            self._open.drop(stored.key)
            self._rebuilding.note(stored)
        for seen in found.seen:
            self._seen[seen.model, seen.version, seen.partition] = seen
        self._halves.restore(found.halves)
        self._ids.restore(found.ids)
        return {p: o for p, o in (found.offsets | self._rebuilding.starts()).items() if p in self._logs}

    def _restore(self, stored: StoredPartial, offset: int) -> None:
        try:
            self._open.restore(stored, self._models.ready(stored.key.baseline).layout)
        except BaselineError as error:
            logger.warning(
                "%s: reading again from offset %d to build a window again: %s",
                stored.key.partition,
                stored.first_offset,
                error,
            )
            self._rebuilding.begin(stored, offset)

    def forget(self, partitions: Collection[Partition]) -> None:
        """Drop everything of these partitions, what waits to be decoded included."""
        gone = set(partitions)
        self._waiting = {a: [_without(m, gone) for m in parts] for a, parts in self._waiting.items()}
        self._logs = {p: log for p, log in self._logs.items() if p not in gone}
        self._open.forget(partitions)
        self._seen = {k: v for k, v in self._seen.items() if k[2] not in gone}
        self._fresh = {k for k in self._fresh if k[2] not in gone}
        self._labels.forget(partitions)
        self._halves.forget(partitions)
        self._rebuilding.forget(partitions)
        self._ids.forget(partitions)
        self._ledger.forget(partitions)

    def add(self, poll: Poll, now: int) -> None:
        """Take a poll in; its messages wait to be decoded together with others of their model version."""
        for address, messages in poll.batches:
            size = sum(map(len, messages.values))
            self._waiting.setdefault(address, []).append(messages)
            self._sizes[address] = self._sizes.get(address, 0) + size
            self.buffered += size
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

    def skip(self, gap: Gap) -> None:
        """Go on behind messages that are gone, and count them with the next checkpoint."""
        self.place(gap.partition, gap.next)
        if gap.next >= gap.first:
            self._ledger.count(gap.partition, Address("", ""), "gap", gap.next - gap.first)
        elif gap.partition in self._logs:
            self._logs[gap.partition].is_anew = True

    def flush(self, now: int, least: int = 0) -> None:
        """Decode and profile what waits, of each model version of which at least so many bytes do.

        Where the store does not answer, nothing of the model version concerned has been taken, and all of it waits on.
        """
        due = [address for address, waiting in self._sizes.items() if waiting >= least]
        if any(a.model and not self._models.knows(a.model, reading_version(a, self._models)) for a in due):
            self._models.refresh()
        for address in due:
            self._flush(address, now)

    def _flush(self, address: Address, now: int) -> None:
        groups = list(by_model(address, Messages.concat(self._waiting[address]), self._models.sole_version))
        for whose, messages in groups:
            self._models.prepare(whose.model, reading_version(whose, self._models))
            prepare(whose, messages, self._models.registry)
        for whose, messages in groups:
            again, fresh = self._rebuilding.split(messages)
            self._take_again(whose, again)
            self._take(whose, fresh, now)
        del self._waiting[address]
        self.buffered -= self._sizes.pop(address)

    def _take_again(self, address: Address, messages: Messages) -> None:
        """Take rows of windows that are built again, and count nothing twice."""
        runtime = self._models.newest(address.model, address.version)
        if runtime is None or len(messages) == 0 or address.format == LABEL_FORMAT:
            return
        decoded = decode(address, messages, runtime.reading)
        if runtime.baseline.schema.pii:  # dead letters hold no bodies then
            messages = replace(messages, values=[b""] * len(messages))
        times = decoded.batch.array(TIME).astype(np.int64, copy=False)
        written = messages.timestamps[decoded.message]
        keep = np.ones(len(times), dtype=np.bool_)
        for fault in implausible(times, written, runtime.spec.allowance):
            keep &= ~fault.rows
        if keep.any():
            self._open.add(
                Rows(address, messages, decoded.batch.take(keep), decoded.message[keep]),
                Terms(
                    runtime.spec.pane,
                    lambda start: self._models.at(address.model, address.version, start),
                    wanted=lambda partition, start: self._rebuilding.wants(
                        (address.model, address.version, start), partition
                    ),
                    ids=self._rebuilding.ids if runtime.config.duplicates == "remove" else None,
                ),
            )

    def _take(self, address: Address, messages: Messages, now: int) -> None:
        if len(messages) == 0:
            return
        runtime = self._models.newest(address.model, reading_version(address, self._models))
        if runtime is None:
            self._ledger.refuse(address, messages, *_unclaimed(address))
            return
        messages = self._without_oversized(address, messages)
        if address.format == LABEL_FORMAT:
            self._labels.take(address, messages, runtime.baseline.schema)
            return
        if is_paired(address):
            messages = self._halves.take(address, messages, runtime.reading)
        decoded = decode(address, messages, runtime.reading)
        self._ledger.reject(address, messages, decoded.rejections)
        batch, message = self._plausible(address, messages, decoded, runtime)
        if batch.rows == 0:
            return
        times = batch.array(TIME).astype(np.int64, copy=False)
        for partition, latest in _latest(times, messages, message):
            self._mark(Mark(address, partition, latest - runtime.config.disorder), now)
        self._open.add(
            Rows(address, messages, batch, message),
            Terms(
                runtime.spec.pane,
                lambda start: self._models.at(address.model, address.version, start),
                lambda partition, outcome, rows: self._ledger.count(partition, address, outcome, rows),
                ids=self._ids if runtime.knows_repeated else None,
                keeps_repeated=runtime.config.duplicates == "count",
                final_end=self._finals.get((address.model, address.version)),
            ),
        )

    def _without_oversized(self, address: Address, messages: Messages) -> Messages:
        sizes = np.fromiter(map(len, messages.values), dtype=np.int64, count=len(messages))
        large = sizes > self._max_bytes
        if not large.any():
            return messages
        for i in np.flatnonzero(large).tolist():
            reason = f"the message has {sizes[i]} bytes, more than the {self._max_bytes} allowed (max_message_bytes)"
            rejection = address_of(messages.partitions[messages.index[i]], int(messages.offsets[i]), reason)
            self._ledger.reject(address, messages, [rejection])
        return messages.take(np.flatnonzero(~large))

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
            self._ledger.reject(address, messages, rejections, fault.outcome)
            keep &= ~fault.rows
        return (batch, message) if keep.all() else (batch.take(keep), message[keep])

    def _mark(self, mark: Mark, now: int) -> None:
        if mark.partition not in self._logs:
            return
        key = (mark.address.model, mark.address.version, mark.partition)
        known = self._seen.get(key)
        latest = mark.event_time if known is None else max(mark.event_time, known.event_time)
        # A clock that was set back, and is put right later, must not make this look like a long silence.
        self._seen[key] = Seen(*key, latest, now if known is None else max(now, known.seen))
        self._fresh.add(key)

    def checkpoint(self, owner: str, now: int) -> Checkpoint | None:
        """Return what the next checkpoint must hold, None where nothing happened."""
        advances = [Advance(p, log.checkpoint, log.position) for p, log in sorted(self._logs.items())]
        whole = self._rebuilding.finish({a.partition: a.next for a in advances})
        for stored in whole:
            self._open.ensure(stored, self._models.ready(stored.key.baseline).layout)
        changed = {stored.key.partition for stored in whole}
        changed |= {p for p, log in self._logs.items() if log.is_anew}
        advances = [
            a for a in advances if a.previous is None or a.previous < a.next or a.partition in changed
        ]
        if not advances and not self._fresh:
            return None
        return Checkpoint(
            owner,
            now,
            advances,
            self._open.dirty(self._rebuilding.concerns),
            [self._seen[key] for key in sorted(self._fresh)],
            self._ledger.counts,
            self._ledger.rejected,
            self._labels.waiting,
            self._halves.changes(),
            self._ids.fresh({p: log.position for p, log in self._logs.items()}),
            {stored.key for stored in whole},
        )

    def late(self, refused: Collection[PartialKey]) -> list[Count]:
        """Return what to count for rows whose window takes no more: late instead of accepted."""
        return self._open.late(refused)

    def saved(self, checkpoint: Checkpoint, refused: Sequence[PartialKey]) -> None:
        """Note that a checkpoint was written, all but the refused partials."""
        for advance in checkpoint.advances:
            log = self._logs[advance.partition]
            log.checkpoint, log.is_anew = advance.next, False
        self._open.saved(checkpoint.partials, refused)
        self._fresh.clear()
        self._labels.clear()
        self._halves.saved()
        self._ids.saved()
        self._ledger.clear()

    def retire(self, model: str, version: str, final_end: int) -> None:
        """Forget windows that take no more rows."""
        self._finals[model, version] = final_end
        self._open.retire(model, version, final_end)
        self._ids.retire(model, version, final_end)


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


def _unclaimed(address: Address) -> tuple[str, str]:
    """Return outcome and reason of events for which no baseline speaks."""
    if address.model:
        return "unknown_model", f"no baseline speaks for model {address.model} version {address.version}"
    return "no_model", "the message names no model: neither headers, nor topic configuration, nor body"


def _of_row(messages: Messages, decoded: Decoded, row: int, reason: str) -> Rejection:
    """Return the rejection of one decoded row; its number within its message is counted from the rows before it."""
    message = int(decoded.message[row])
    first = int(np.searchsorted(decoded.message, message))
    partition = messages.partitions[messages.index[message]]
    return address_of(partition, int(messages.offsets[message]), reason, row - first)
