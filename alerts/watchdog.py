"""Watches the watchers: a worker that died without a word, a partition that nobody reads, a monitor that is blind.

`findings` is pure; `Watchdog` reads signs of life from the store and raises or ends alerts, which the dispatcher of any
living process delivers. Where every process is dead nothing here can speak: that is what a dead man's switch is for.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from mlhealth.alerts.dead_man import DeadMan
from mlhealth.clock import HOUR, SECOND, Clock, SystemClock, format_duration, to_iso
from mlhealth.config.receivers import WatchdogConfig
from mlhealth.errors import RecoverableError
from mlhealth.store import heartbeats
from mlhealth.store.database import Database
from mlhealth.store.heartbeats import Heartbeat
from mlhealth.store.service_alerts import Trouble, end_alert, firing, raise_alert
from mlhealth.store.tables import partitions

LOG = logging.getLogger("mlhealth.alerts")
SELF = "mlhealth"
"""What stands where other alerts have a model."""
RULES = ("WorkerDead", "PartitionStalled", "MonitorBlind")
FORGET = 24 * HOUR
"""After so long a dead worker that nobody replaced is no news."""


@dataclass(frozen=True)
class Scene:
    """What is known of the workers: their signs of life, the partitions ever read, and since when each is unclaimed."""

    workers: Sequence[Heartbeat] = ()
    partitions: frozenset[str] = frozenset()
    unclaimed: Mapping[str, int] = field(default_factory=dict)
    last_progress: int = 0


def findings(scene: Scene, limits: WatchdogConfig, now: int) -> list[Trouble]:
    """Return what is wrong now."""
    living = [w for w in scene.workers if now - w.beat <= limits.dead_after]
    found = [_dead(w, limits) for w in scene.workers if w not in living and not _is_replaced(w, living, now)]
    if not living:
        seen = max([scene.last_progress, *(w.beat for w in scene.workers)], default=0)
        if scene.partitions and now - seen > limits.blind_after:
            found.append(_blind(seen))
        return found
    stalled = [p for p, since in scene.unclaimed.items() if now - since > limits.dead_after]
    return found + [_stalled(p, limits) for p in sorted(stalled)]


def claimed(workers: Sequence[Heartbeat], limits: WatchdogConfig, now: int) -> frozenset[str]:
    """Return the partitions that living workers hold."""
    return frozenset(p for w in workers if now - w.beat <= limits.dead_after for p in w.partitions)


def _is_replaced(worker: Heartbeat, living: Sequence[Heartbeat], now: int) -> bool:
    return now - worker.beat > FORGET or any(other.started > worker.beat for other in living)


def _dead(worker: Heartbeat, limits: WatchdogConfig) -> Trouble:
    gone = format_duration(limits.dead_after)
    summary = f"worker {worker.worker} gave no sign of life for more than {gone}, since {to_iso(worker.beat)}"
    return Trouble("WorkerDead", SELF, worker.worker, summary, "critical")


def _stalled(partition: str, limits: WatchdogConfig) -> Trouble:
    summary = f"no living worker has read {partition} for more than {format_duration(limits.dead_after)}"
    return Trouble("PartitionStalled", SELF, partition, summary, "critical")


def _blind(since: int) -> Trouble:
    summary = f"mlhealth is blind: no worker has run since {to_iso(since)}, so no model is watched"
    return Trouble("MonitorBlind", SELF, "", summary, "page")


class Watchdog:
    """Looks at the signs of life every few seconds; `run` in a thread of its own."""

    def __init__(
        self, database: Database, config: WatchdogConfig, receivers: Sequence[str], clock: Clock | None = None
    ) -> None:
        self._database = database
        self._config = config
        self._receivers = tuple(receivers if config.notify is None else config.notify)
        self._clock = clock or SystemClock()
        self._dead_man = None if config.dead_man is None else DeadMan(config.dead_man, self._clock)
        self._unclaimed: dict[str, int] = {}
        self._began: int | None = None

    def run(self, stop: threading.Event) -> None:
        """Watch until told to stop; a database that is away is waited for."""
        while not stop.is_set():
            try:
                self.watch()
            except RecoverableError as error:
                LOG.warning("the signs of life of workers cannot be read: %s", error)
            stop.wait(self._pause)

    @property
    def _pause(self) -> float:
        """Seconds between two looks."""
        every = self._config.dead_after if self._config.dead_man is None else self._config.dead_man.every
        return min(self._config.dead_after, every) / SECOND / 4

    def watch(self) -> None:
        """Look once, and let the dead man's switch know that somebody did."""
        found = self.turn()
        if self._dead_man is not None:
            self._dead_man.turn(found)

    def turn(self) -> list[Trouble]:
        """Look once; return what is wrong."""
        now = self._clock.now()
        self._began = self._began or now
        with self._database.read() as connection:
            scene = self._scene(connection, now)
            told = {trouble.fingerprint: trouble for trouble in firing(connection, RULES)}
        found = {trouble.fingerprint: trouble for trouble in findings(scene, self._config, now)}
        if found.keys() == told.keys():
            return list(found.values())
        with self._database.begin() as connection:
            for mark in found.keys() - told.keys():
                if raise_alert(connection, found[mark], self._receivers, now):
                    LOG.error("%s: %s", found[mark].rule, found[mark].summary)
            for mark in told.keys() - found.keys():
                end_alert(connection, told[mark], now)
                if told[mark].rule == "WorkerDead":
                    heartbeats.forget_dead(connection, told[mark].version, now - self._config.dead_after)
        return list(found.values())

    def _scene(self, connection: Connection, now: int) -> Scene:
        workers = heartbeats.all_of(connection)
        rows = list(connection.execute(select(partitions)))
        known = frozenset(f"{row.topic}/{row.partition}" for row in rows)
        held = claimed(workers, self._config, now)
        self._unclaimed = {p: self._unclaimed.get(p, now) for p in known - held}
        # A watchdog that has only just begun gives workers the time to begin too.
        progress = max([self._began or now, *(row.progressed for row in rows)])
        return Scene(workers, known, dict(self._unclaimed), progress)
