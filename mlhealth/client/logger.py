"""`Logger`: takes events in the serving thread in microseconds, and sends them from a thread of its own.

What waits is bounded: beyond that, events are dropped and counted. Nothing that happens to the transport is ever raised
where `log` is called.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
import time as clock
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

from mlhealth.client.transports import Retry, Transport

_log = logging.getLogger("mlhealth.client")
_Entry = tuple[Mapping[str, Any], Any, Any, Any, Any]


@dataclass(frozen=True)
class Columns:
    """By which names the model's schema knows what an event holds."""

    prediction: str = "prediction"
    score: str = "score"
    id: str = "event_id"
    time: str = "ts"


@dataclass(frozen=True)
class Pace:
    """How much is sent at once, how often (seconds), how much may wait, and how often sending is tried."""

    batch: int = 500
    every: float = 1.0
    capacity: int = 50_000
    attempts: int = 5


@dataclass(frozen=True)
class Stats:
    """What became of events so far: `dropped` for want of room, `failed` because nobody took them."""

    sent: int
    dropped: int
    failed: int
    waiting: int


@dataclass
class _Counts:
    sent: int = 0
    dropped: int = 0
    failed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Logger:
    """See the module. Safe to use from several threads, and in processes that fork after it was made."""

    def __init__(
        self,
        model: str,
        version: str,
        transport: Transport,
        *,
        columns: Columns | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._model, self._version = model, version
        self._transport = transport
        self._columns = columns or Columns()
        self._pace = pace or Pace()
        self._capacity, self._batch = self._pace.capacity, self._pace.batch
        self._begin()
        atexit.register(_close, weakref.ref(self))
        os.register_at_fork(after_in_child=partial(_begin, weakref.ref(self)))

    def _begin(self) -> None:
        """Start with nothing: at the beginning, and in a forked child, whose parent sends what waits."""
        self._queue: deque[_Entry] = deque()
        self._counts = _Counts()
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def log(
        self,
        features: Mapping[str, Any],
        prediction: object,
        score: object = None,
        *,
        id: object = None,  # noqa: A002 (the word people know)
        time: object = None,
    ) -> bool:
        """Take one event; False where it was dropped. Never waits for anybody and never raises.

        `score`: the positive class's probability, or column names and their values. `time`: ISO 8601 or an epoch
        number; now, where it is left out.
        """
        try:
            queue = self._queue
            if len(queue) >= self._capacity or self._closed:
                with self._counts.lock:
                    self._counts.dropped += 1
                return False
            queue.append(
                (dict(features), prediction, score, id, clock.time_ns() // 1000 if time is None else time)
            )
            if self._thread is None:
                self._start()
            if len(queue) >= self._batch and not self._wake.is_set():
                self._wake.set()
        except Exception:  # noqa: BLE001 (the serving path comes first)
            self._counts.dropped += 1
            return False
        return True

    def stats(self) -> Stats:
        """Return what became of events so far."""
        counts = self._counts
        return Stats(counts.sent, counts.dropped, counts.failed, len(self._queue))

    def close(self, timeout: float = 5.0) -> None:
        """Send what waits, for at most `timeout` seconds; what is logged later is dropped."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
            if not self._thread.is_alive() and hasattr(self._transport, "close"):
                self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        with self._counts.lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="mlhealth-client", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while not self._closed or self._queue:
            self._wake.wait(self._pace.every)
            self._wake.clear()
            while self._queue:
                self._send([self._queue.popleft() for _ in range(min(self._batch, len(self._queue)))])

    def _send(self, entries: list[_Entry]) -> None:
        try:
            body = b"\n".join([json.dumps(self._event(*entry), default=_plain).encode() for entry in entries])
            self._deliver(body, len(entries))
        except Exception as error:  # noqa: BLE001 (the thread must live)
            self._failed(len(entries), error)

    def _deliver(self, body: bytes, rows: int) -> None:
        key = os.urandom(12).hex()
        for attempt in range(self._pace.attempts):
            try:
                self._transport.send(self._model, self._version, body, key)
            except Retry as retry:
                if attempt + 1 == self._pace.attempts or (self._closed and attempt):
                    raise
                clock.sleep(min(retry.after or 0.2 * 2**attempt, 30.0))
                continue
            self._counts.sent += rows
            return

    def _failed(self, rows: int, error: Exception) -> None:
        self._counts.failed += rows
        _log.warning("%d events of %s were not sent: %s", rows, self._model, error)

    def _event(
        self,
        features: Mapping[str, Any],
        prediction: object,
        score: object,
        identity: object,
        moment: object,
    ) -> dict[str, Any]:
        columns = self._columns
        event: dict[str, Any] = {**features, columns.prediction: prediction}
        if isinstance(score, Mapping):
            event.update(score)
        elif score is not None:
            event[columns.score] = score
        if identity is not None:
            event[columns.id] = str(identity)
        event[columns.time] = moment
        return event


def _plain(value: Any) -> object:
    """Return what JSON can say of a value that it does not know: numpy's scalars as numbers, the rest as text."""
    return value.item() if hasattr(value, "item") and callable(value.item) else str(value)


def _begin(ref: weakref.ref[Logger]) -> None:
    logger = ref()
    if logger is not None:
        logger._begin()  # noqa: SLF001 (its own module)


def _close(ref: weakref.ref[Logger]) -> None:
    logger = ref()
    if logger is not None:
        logger.close()
