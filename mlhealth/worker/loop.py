"""The loop: poll, decode, profile, checkpoint, close; one thread, bounded memory, exactly-once by the checkpoint."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from mlhealth.clock import SECOND, Clock
from mlhealth.errors import RecoverableError, SourceUnavailable, StoreUnavailable
from mlhealth.events.messages import Partition
from mlhealth.metrics import Metrics
from mlhealth.sources.base import Gap, Owner, Source
from mlhealth.store import checkpoints, heartbeats
from mlhealth.store.database import Database
from mlhealth.store.heartbeats import Heartbeat
from mlhealth.worker.closing import Closed, Closer
from mlhealth.worker.intake import Intake
from mlhealth.worker.models import Models
from mlhealth.worker.telling import set_aside, tell_closed, tell_counts, tell_lag

logger = logging.getLogger(__name__)

Fault = Callable[[str], None]
"""Called with the name of each point at which a test may end the process."""
POINTS = ("before checkpoint", "inside checkpoint", "after checkpoint", "inside closing")


@dataclass(frozen=True)
class Pace:
    """How often the loop does what, in microseconds, and how much it holds undecoded, unsaved, or of labels.

    `first`: when a checkpoint follows the assignment of partitions, so that windows that waited for a reader close.
    """

    checkpoint: int = 5 * SECOND
    buffer_bytes: int = 64 * 1024 * 1024
    decode_bytes: int = 8 * 1024 * 1024
    unsaved_bytes: int = 32 * 1024 * 1024
    labels: int = 50_000
    close_seconds: float = 2.0
    poll_seconds: float = 0.2
    retry_seconds: float = 1.0
    first: int = SECOND


@dataclass(frozen=True)
class Parts:
    """What a worker is made of."""

    database: Database
    source: Source
    models: Models
    intake: Intake
    closer: Closer
    clock: Clock
    metrics: Metrics


class Worker(Owner):
    """Reads one source to its end and on, until told to stop."""

    def __init__(
        self, parts: Parts, name: str, pace: Pace | None = None, fault: Fault = lambda _: None
    ) -> None:
        self._parts = parts
        self.metrics = parts.metrics
        self._name = name
        self._pace = pace or Pace()
        self._fault = fault
        self._last_checkpoint = 0
        self._pause_between = self._pace.checkpoint
        self._is_fresh = False
        self._began = parts.clock.now()
        self._is_closing = False
        self._is_paused = False
        parts.closer.before_commit = lambda: fault("inside closing")

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then put everything away; a source or store that is down is waited for."""
        self.start(stop)
        while not stop.is_set():
            try:
                self.turn()
            except RecoverableError as error:
                self._wait_out(error, stop)
        self.finish()

    def prepare(self) -> None:
        """Read every active baseline, and build what counts by it, now instead of at its first event."""
        self._parts.models.refresh()
        for model, version in self._parts.models.versions():
            _ = [runtime.layout.counter for runtime in self._parts.models.prepare(model, version)]

    def turn(self) -> None:
        """Do one round: poll, and whatever is due by the clock."""
        parts = self._parts
        if self._is_paused:
            parts.source.poll(0.0)
            self.checkpoint()
            self._pause(is_paused=False)
        poll = parts.source.poll(self._pace.poll_seconds)
        now = parts.clock.now()
        parts.intake.add(poll, now)
        parts.intake.flush(now, self._pace.decode_bytes)
        if parts.intake.buffered >= self._pace.buffer_bytes:
            parts.intake.flush(now)
        parts.metrics.buffered_bytes.set(parts.intake.buffered)
        if self._is_due(now):
            self.checkpoint()
            self._beat(now)
            self._pause_between = self._pace.first if self._is_fresh else self._pace.checkpoint
            self._is_fresh = False
            self._is_closing = True
            self._last_checkpoint = now
        if self._is_closing:
            self._is_closing = not all(
                closed.is_done for closed in self.close_windows(self._pace.close_seconds)
            )

    def _is_due(self, now: int) -> bool:
        """Whether a checkpoint is due, by the clock or by what it would free.

        A log read faster than it was written opens many windows between two ticks of the clock.
        """
        intake, pace = self._parts.intake, self._pace
        # A clock that was set back must not put the next checkpoint off by as much.
        is_early = 0 <= now - self._last_checkpoint < self._pause_between
        return not is_early or intake.labels >= pace.labels or intake.unsaved_bytes >= pace.unsaved_bytes

    def _beat(self, now: int) -> None:
        """Give the sign of life by which others see that this worker reads its partitions."""
        held = tuple(sorted(map(str, self._parts.source.positions())))
        with self._parts.database.begin() as connection:
            heartbeats.beat(connection, Heartbeat(self._name, self._began, now, held))

    def checkpoint(self) -> None:
        """Put away everything that was read, all or nothing; then tell the broker."""
        parts = self._parts
        for partition, position in parts.source.positions().items():
            parts.intake.place(partition, position)
        parts.source.commit(self._save())

    def _save(self) -> Mapping[Partition, int]:
        """Write a checkpoint and return the offsets that it holds now."""
        parts = self._parts
        now = parts.clock.now()
        parts.models.refresh()
        parts.intake.flush(now)
        wanted = parts.intake.checkpoint(self._name, now)
        if wanted is None:
            return {}
        with parts.metrics.checkpoint_seconds.time():
            set_aside(parts.source, parts.intake.letters, parts.metrics)
            self._fault("before checkpoint")
            saved = checkpoints.save(
                parts.database,
                wanted,
                late=parts.intake.late,
                before_commit=lambda: self._fault("inside checkpoint"),
            )
        if saved.lost:
            logger.warning(
                "partitions %s belong to another worker; their state is dropped", _names(saved.lost)
            )
            parts.metrics.failures.labels("PartitionLost").inc(len(saved.lost))
            self._reload(saved.lost)
            return {}
        self._fault("after checkpoint")
        tell_counts(parts.metrics, [*wanted.counts, *parts.intake.late(saved.refused)])
        parts.intake.saved(wanted, saved.refused)
        return {advance.partition: advance.next for advance in wanted.advances}

    def close_windows(self, seconds: float = float("inf")) -> list[Closed]:
        """Close what is due, for so long at most, and forget what takes no more rows."""
        parts = self._parts
        done = parts.closer.close(parts.clock.now(), _limit(seconds))
        for closed in done:
            if closed.final_end is not None:
                parts.intake.retire(*closed.name, closed.final_end)
            tell_closed(parts.metrics, closed, parts.clock.now())
        parts.metrics.open_partials.set(parts.intake.open_partials)
        parts.metrics.event_ids.set(parts.intake.event_ids)
        tell_lag(parts.metrics, parts.closer.behind, parts.intake.partitions)
        return done

    def assigned(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        self._parts.models.refresh()
        found = checkpoints.restore(self._parts.database, partitions)
        offsets = self._parts.intake.restore(partitions, found)
        self._is_fresh, self._pause_between = True, self._pace.first
        logger.info("took partitions %s", _names(partitions))
        return offsets

    def revoked(self, partitions: Collection[Partition]) -> None:
        try:
            self._save()  # and no call of the source, which is in the middle of giving them up
        except RecoverableError as error:
            logger.warning("partitions %s go without a checkpoint: %s", _names(partitions), error)
            self._parts.metrics.failures.labels(type(error).__name__).inc()
        self.lost(partitions)

    def lost(self, partitions: Collection[Partition]) -> None:
        self._parts.intake.forget(partitions)
        logger.info("gave up partitions %s", _names(partitions))

    def gap(self, gap: Gap) -> None:
        self._parts.intake.skip(gap)
        if gap.next < gap.first:
            logger.error(
                "%s: ends before offset %d, where reading stood: the topic was made anew and is read from offset %d",
                gap.partition,
                gap.first,
                gap.next,
            )
            return
        logger.error(
            "%s: offsets %d to %d are gone; their events were never read",
            gap.partition,
            gap.first,
            gap.next - 1,
        )
        self._parts.metrics.gap_records.labels(gap.partition.topic, str(gap.partition.number)).inc(
            gap.next - gap.first
        )

    def _reload(self, partitions: Collection[Partition]) -> None:
        self._parts.intake.forget(partitions)
        self._parts.source.reload(partitions)

    def start(self, stop: threading.Event) -> None:
        """Connect to the source, waiting for it while it is down."""
        while not stop.is_set():
            try:
                self._parts.source.start(self)
            except SourceUnavailable as error:
                self._wait_out(error, stop)
            else:
                return

    def _wait_out(self, error: RecoverableError, stop: threading.Event) -> None:
        """Wait a little for what is down; meanwhile partitions stay ours and nothing more is read."""
        logger.warning("%s; trying again", error)
        self._parts.metrics.failures.labels(type(error).__name__).inc()
        if isinstance(error, StoreUnavailable):
            self._pause(is_paused=True)
        stop.wait(self._pace.retry_seconds)

    def _pause(self, *, is_paused: bool) -> None:
        if is_paused == self._is_paused:
            return
        self._is_paused = is_paused
        self._parts.metrics.paused.set(is_paused)
        if is_paused:
            self._parts.source.pause()
        else:
            self._parts.source.resume()

    def finish(self) -> None:
        """Put everything away and let the source go."""
        try:
            self.checkpoint()
            self.close_windows()
            with self._parts.database.begin() as connection:
                heartbeats.end(connection, self._name)
        except RecoverableError as error:
            logger.warning("stopped without a last checkpoint: %s", error)
        self._parts.source.close()


def _limit(seconds: float) -> Callable[[], bool]:
    """Return what tells that so long has passed since it was first asked: a slow broker takes no time from closing."""
    end = 0.0

    def expired() -> bool:
        nonlocal end
        end = end or time.monotonic() + seconds
        return time.monotonic() > end

    return expired


def _names(partitions: Collection[Partition]) -> str:
    return ", ".join(map(str, sorted(partitions)))
