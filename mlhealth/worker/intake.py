"""Polled messages → partial profiles in memory, and beside them all that a checkpoint must hold."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mlhealth.errors import BaselineError
from mlhealth.events.batch import TIME
from mlhealth.events.labels import LABEL_FORMAT
from mlhealth.events.messages import Messages, Partition
from mlhealth.sources.base import Address, DeadLetter, Gap, Mark, Poll
from mlhealth.store.checkpoints import Checkpoint, Count, PartialKey, Restored, StoredPartial
from mlhealth.windows import implausible
from mlhealth.worker.decoding import by_model, decode, is_paired, prepare
from mlhealth.worker.duplicates import EventIds
from mlhealth.worker.growing import OpenProfiles, Rows, Terms
from mlhealth.worker.halves import Halves
from mlhealth.worker.label_intake import LabelIntake, reading_version
from mlhealth.worker.ledger import Ledger
from mlhealth.worker.models import Models
from mlhealth.worker.reached import Reached
from mlhealth.worker.rebuilding import Rebuilding
from mlhealth.worker.sifting import Sieve
from mlhealth.worker.waiting import WaitingMessages

logger = logging.getLogger(__name__)

_PIECE_BYTES = 8 * 1024 * 1024
"""What is decoded at once: larger columns would outgrow the processor's cache."""


class Intake:
    """All that one worker has read and not yet checkpointed, and the open partials of its partitions."""

    def __init__(self, models: Models, *, max_message_bytes: int = 32 * 1024 * 1024) -> None:
        self._models = models
        self._reached = Reached()
        self._waiting = WaitingMessages()
        self._open = OpenProfiles()
        self._finals: dict[tuple[str, str], int] = {}
        self._rebuilding = Rebuilding()
        self._ids = EventIds()
        self._ledger = Ledger()
        self._sieve = Sieve(self._ledger, max_message_bytes)
        self._labels = LabelIntake(self._ledger)
        self._halves = Halves(models.pairing, self._ledger)

    @property
    def buffered(self) -> int:
        """How many bytes wait to be decoded."""
        return self._waiting.bytes

    @property
    def letters(self) -> list[DeadLetter]:
        """The messages since the last checkpoint that could not be used."""
        return self._ledger.letters

    @property
    def partitions(self) -> Collection[Partition]:
        """The partitions that are read here."""
        return self._reached.partitions

    @property
    def open_partials(self) -> int:
        """How many partial profiles are held."""
        return len(self._open)

    @property
    def unsaved_bytes(self) -> int:
        """About how much memory the partial profiles take that no checkpoint holds yet."""
        return self._open.unsaved_bytes

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
            self._reached.begin(partition, found.offsets.get(partition))
        for stored in found.partials:
            self._restore(stored, found.offsets[stored.key.partition])
        for stored in (p for p in found.partials if self._rebuilding.concerns(p.key)):
            self._open.drop(stored.key)
            self._rebuilding.note(stored)
        self._reached.restore(found.seen)
        self._halves.restore(found.halves)
        self._ids.restore(found.ids)
        starts = found.offsets | self._rebuilding.starts()
        return {p: o for p, o in starts.items() if p in self._reached.partitions}

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
        self._waiting.forget(partitions)
        self._reached.forget(partitions)
        self._open.forget(partitions)
        self._labels.forget(partitions)
        self._halves.forget(partitions)
        self._rebuilding.forget(partitions)
        self._ids.forget(partitions)
        self._ledger.forget(partitions)

    def add(self, poll: Poll, now: int) -> None:
        """Take a poll in; its messages wait to be decoded together with others of their model version."""
        for address, messages in poll.batches:
            self._waiting.add(address, messages)
        for partition, position in (poll.positions or {}).items():
            self._reached.place(partition, position)
        if poll.marks:
            self.flush(now)
            for mark in poll.marks:
                self._reached.mark(mark, now)

    def place(self, partition: Partition, position: int) -> None:
        """Note where reading a partition goes on, when it moved without a message."""
        self._reached.place(partition, position)

    def skip(self, gap: Gap) -> None:
        """Go on behind messages that are gone, and count them with the next checkpoint."""
        self._reached.place(gap.partition, gap.next, is_anew=gap.next < gap.first)
        if gap.next >= gap.first:
            self._ledger.count(gap.partition, Address("", ""), "gap", gap.next - gap.first)

    def flush(self, now: int, least: int = 0) -> None:
        """Decode and profile what waits, of each model version of which at least so many bytes do.

        Where the store does not answer, nothing of the model version concerned has been taken, and all of it waits on.
        """
        due = self._waiting.due(least)
        if any(a.model and not self._models.knows(a.model, reading_version(a, self._models)) for a in due):
            self._models.refresh()
        for address in due:
            self._flush(address, now)

    def _flush(self, address: Address, now: int) -> None:
        groups = list(by_model(address, self._waiting.of(address), self._models.sole_version))
        for whose, messages in groups:
            self._models.prepare(whose.model, reading_version(whose, self._models))
            prepare(whose, messages, self._models.registry)
        for whose, messages in groups:
            again, fresh = self._rebuilding.split(messages)
            self._take_again(whose, again)
            for piece in fresh.pieces(_PIECE_BYTES):
                self._take(whose, piece, now)
        self._waiting.done(address)

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
        messages = self._sieve.messages(address, messages)
        if address.format == LABEL_FORMAT:
            self._labels.take(address, messages, runtime.baseline.schema)
            return
        if is_paired(address):
            messages = self._halves.take(address, messages, runtime.reading)
        decoded = decode(address, messages, runtime.reading)
        self._ledger.reject(address, messages, decoded.rejections)
        batch, message = self._sieve.rows(address, messages, decoded, runtime.spec.allowance)
        if batch.rows == 0:
            return
        times = batch.array(TIME).astype(np.int64, copy=False)
        for partition, latest in _latest(times, messages, message):
            self._reached.mark(Mark(address, partition, latest - runtime.config.disorder), now)
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

    def checkpoint(self, owner: str, now: int) -> Checkpoint | None:
        """Return what the next checkpoint must hold, None where nothing happened."""
        whole = self._rebuilding.finish(self._reached.positions)
        for stored in whole:
            self._open.ensure(stored, self._models.ready(stored.key.baseline).layout)
        advances = self._reached.advances({stored.key.partition for stored in whole})
        seen = self._reached.fresh
        if not advances and not seen:
            return None
        return Checkpoint(
            owner,
            now,
            advances,
            self._open.dirty(self._rebuilding.concerns),
            seen,
            self._ledger.counts,
            self._ledger.rejected,
            self._labels.waiting,
            self._halves.changes(),
            self._ids.fresh(self._reached.positions),
            {stored.key for stored in whole},
        )

    def late(self, refused: Collection[PartialKey]) -> list[Count]:
        """Return what to count for rows whose window takes no more: late instead of accepted."""
        return self._open.late(refused)

    def saved(self, checkpoint: Checkpoint, refused: Sequence[PartialKey]) -> None:
        """Note that a checkpoint was written, all but the refused partials."""
        self._reached.saved(checkpoint.advances)
        self._open.saved(checkpoint.partials, refused)
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


def _unclaimed(address: Address) -> tuple[str, str]:
    """Return outcome and reason of events for which no baseline speaks."""
    if address.model:
        return "unknown_model", f"no baseline speaks for model {address.model} version {address.version}"
    return "no_model", "the message names no model: neither headers, nor topic configuration, nor body"
