"""Delivers the outbox: claim, group, send, note the outcome; at least once, with ids that show repetitions.

Each receiver has a lane of its own, so that one that hangs delays no other. What fails is tried again while the
receiver says that a retry can help, up to `give_up`; then it is given up loudly: an error in the log, a counter, and a
row that the pages show.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from sqlalchemy import Connection

from mlhealth.alerts.approval import ApprovalLinks
from mlhealth.alerts.backoff import wait
from mlhealth.alerts.grouping import batch_id, group_labels, grouped
from mlhealth.alerts.notice import Notice, NoticeKind
from mlhealth.alerts.notifiers.base import Notification, Notifier, labels_of
from mlhealth.clock import DAY, HOUR, MINUTE, SECOND, Clock, SystemClock
from mlhealth.config.receivers import ReceiverConfig
from mlhealth.errors import DeliveryError, MlhealthError, RecoverableError
from mlhealth.store import outbox, silences
from mlhealth.store.alert_tables import enqueue
from mlhealth.store.database import Database
from mlhealth.store.outbox import Claim, Lease, Taker
from mlhealth.store.reminders import due

LOG = logging.getLogger("mlhealth.alerts")

KEEP = 30 * DAY
"""How long delivered rows are kept; a receiver's limit must not look back further."""

Outcome = Callable[[str, str, int], None]
"""Called with receiver, outcome (delivered, retried, failed) and the number of notices; counts for /metrics."""


@dataclass(frozen=True)
class Receiver:
    """A notifier with how it is to be served."""

    notifier: Notifier
    config: ReceiverConfig


@dataclass(frozen=True)
class Options:
    """How the dispatcher works. `lease` must exceed the slowest receiver's timeout."""

    base_url: str = ""
    poll: float = 0.5
    lease: int = MINUTE
    lanes: int = 8
    clock: Clock = field(default_factory=SystemClock)
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    count: Outcome = lambda receiver, outcome, notices: None
    links: ApprovalLinks | None = None


class Dispatcher:
    """Serves the receivers of one configuration; `run` in a thread of its own."""

    def __init__(
        self, database: Database, receivers: Mapping[str, Receiver], options: Options | None = None
    ) -> None:
        self._database = database
        self._receivers = dict(receivers)
        self._options = options or Options()
        self._owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(self._options.lanes, "mlhealth-notify")
        self._lanes: dict[str, Future[None]] = {}
        self._forgot = 0

    def start(self) -> None:
        """Free what a killed predecessor had claimed, where this process is the store's only one."""
        if self._database.is_sqlite:
            with self._database.begin() as connection:
                outbox.release(connection)

    def run(self, stop: threading.Event) -> None:
        """Deliver until told to stop; a database that is away is waited for."""
        begun = False
        while not stop.is_set():
            try:
                if not begun:
                    self.start()
                    begun = True
                self._send_due()
                self._forget()
            except RecoverableError as error:
                LOG.warning("the outbox cannot be read: %s", error)
            stop.wait(self._options.poll)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _forget(self) -> None:
        """Remove rows that were finished long ago, once an hour."""
        now = self._options.clock.now()
        if now - self._forgot >= HOUR:
            self._forgot = now
            with self._database.begin() as connection:
                outbox.prune(connection, now - KEEP)

    def turn(self) -> int:
        """Send everything that is due, wait for the outcomes, and return the number of notices claimed."""
        claimed = self._send_due()
        for lane in self._lanes.values():
            lane.result()
        return claimed

    def _send_due(self) -> int:
        now = self._options.clock.now()
        idle = [name for name in self._receivers if name not in self._lanes or self._lanes[name].done()]
        with self._database.read() as connection:
            if not outbox.is_due(connection, now, idle) and not self._reminders(connection, idle, now):
                return 0
        with self._database.begin() as connection:
            enqueue(connection, self._reminders(connection, idle, now), now)
            claims = outbox.claim(connection, self._taker(silences.current(connection, now), idle, now))
        lanes: dict[str, list[Claim]] = {}
        for claimed in claims:
            lanes.setdefault(claimed.notice.receiver, []).append(claimed)
        for name, waiting in lanes.items():
            self._lanes[name] = self._pool.submit(self._serve, name, waiting)
        return len(claims)

    def _reminders(self, connection: Connection, idle: Sequence[str], now: int) -> list[Notice]:
        wanted = {n: i for n in idle if (i := self._receivers[n].config.reminder) is not None}
        return due(connection, wanted, now)

    def _taker(self, active: Sequence[silences.Silence], idle: Sequence[str], now: int) -> Taker:
        def until(notice: Notice) -> int | None:
            return silences.silenced_until(active, labels_of(notice), now)

        told = frozenset(name for name, r in self._receivers.items() if r.config.resolved)
        return Taker(self._lease(now), tuple(idle), told, until)

    def _lease(self, now: int) -> Lease:
        return Lease(self._owner, now, now + self._options.lease)

    def _serve(self, name: str, claims: list[Claim]) -> None:
        for group in grouped(claims, self._receivers[name].config.group_by):
            try:
                self._deliver(name, group)
            except RecoverableError as error:
                LOG.warning(
                    "receiver %s: the outcome could not be noted, it will be sent again: %s", name, error
                )

    def _deliver(self, name: str, group: list[Claim]) -> None:
        receiver, now = self._receivers[name], self._options.clock.now()
        batch = batch_id(group)
        with self._database.begin() as connection:
            later = self._over_limit(connection, name, now)
            if later is not None:
                outbox.postpone(connection, group, later, "over the receiver's limit")
                return
            if not outbox.hold(connection, group, batch, self._lease(now)):
                return
            known = outbox.references(connection, name, group)
        labels = group_labels(group[0].notice, receiver.config.group_by)
        notices = tuple(self._with_approval(claimed.notice, now) for claimed in group)
        try:
            news = Notification(batch, name, notices, labels, self._options.base_url, known, now)
            taken = receiver.notifier.send(news)
        except MlhealthError as error:
            self._failed(name, group, error)
        except Exception as error:  # noqa: BLE001 - a defect in one notifier must not stop the others
            self._failed(name, group, DeliveryError(f"{type(error).__name__}: {error}"))
        else:
            with self._database.begin() as connection:
                outbox.delivered(connection, group, self._options.clock.now(), taken.reference)
            self._options.count(name, "delivered", len(group))

    def _with_approval(self, notice: Notice, now: int) -> Notice:
        """Return the notice with a link by which its retraining can be approved, where one waits for that."""
        if notice.request is None or self._options.links is None or notice.kind is NoticeKind.RESOLVED:
            return notice
        return replace(notice, approval_url=self._options.links.link(notice.request, now))

    def _over_limit(self, connection: Connection, name: str, now: int) -> int | None:
        """Return when the receiver's limit has room again, or None where it has now."""
        limit = self._receivers[name].config.limit
        if limit is None:
            return None
        times = outbox.messages_since(connection, name, now - limit.per)
        return None if len(times) < limit.messages else times[-limit.messages] + limit.per

    def _failed(self, name: str, group: list[Claim], error: MlhealthError) -> None:
        config, now = self._receivers[name].config, self._options.clock.now()
        oldest = min(claimed.created for claimed in group)
        if isinstance(error, RecoverableError) and now - oldest < config.give_up:
            self._try_again(name, group, error, now)
            return
        with self._database.begin() as connection:
            outbox.give_up(connection, group, now, str(error))
        LOG.error(
            "receiver %s: gave up on %d notices: %s: %s", name, len(group), group[0].notice.story.title, error
        )
        self._options.count(name, "failed", len(group))

    def _try_again(self, name: str, group: list[Claim], error: RecoverableError, now: int) -> None:
        attempts = max(claimed.attempts for claimed in group)
        with self._lock:
            pause = wait(attempts, getattr(error, "retry_after", None), self._options.rng)
        with self._database.begin() as connection:
            outbox.retry_at(connection, group, now + pause, str(error))
        LOG.warning("receiver %s: attempt %d: %s; again in %.1f s", name, attempts, error, pause / SECOND)
        self._options.count(name, "retried", len(group))
