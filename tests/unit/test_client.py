"""The logger for Python services never holds its service up, and accounts for every event."""

from __future__ import annotations

import os
import threading

import numpy as np

from mlhealth.client import Columns, Logger, Memory, Pace, Retry
from tests.servers.process import wait_until


class Failing:
    """A transport that is busy for so many tries, or broken for good."""

    def __init__(self, busy: int = 0, *, broken: bool = False) -> None:
        self.busy, self.broken = busy, broken
        self.keys: list[str] = []

    def send(self, model: str, version: str, body: bytes, key: str) -> None:
        """Refuse a batch, or take it."""
        self.keys.append(key)
        if self.broken:
            raise RuntimeError("400 Bad Request")
        if len(self.keys) <= self.busy:
            raise Retry("busy", after=0.001)


def test_events_arrive_in_the_columns_of_the_schema() -> None:
    """Features, prediction, score, id and time have the names that were asked for, numpy's scalars as numbers."""
    sent = Memory()
    with Logger("m", "1", sent, columns=Columns(prediction="y", score="p", id="key", time="at")) as logger:
        assert logger.log(
            {"x": np.float64(1.5)}, np.int64(1), np.float32(0.5), id=7, time="2026-01-01T00:00:00Z"
        )
        assert logger.log({"x": 2}, "a", {"p_a": 0.75, "p_b": 0.25})
    assert sent.events[0] == {"x": 1.5, "y": 1, "p": 0.5, "key": "7", "at": "2026-01-01T00:00:00Z"}
    assert sent.events[1]["p_a"] == 0.75
    assert isinstance(sent.events[1]["at"], int)
    assert logger.stats().sent == 2


def test_what_finds_no_room_is_dropped_and_counted() -> None:
    """Beyond the capacity `log` says no at once; sent and dropped add up to all."""
    sent = Memory()
    logger = Logger("m", "1", sent, pace=Pace(capacity=10, every=3600.0))
    kept = [logger.log({"x": i}, 0) for i in range(25)]
    assert kept == [True] * 10 + [False] * 15
    logger.close()
    assert (logger.stats().sent, logger.stats().dropped) == (10, 15)
    assert not logger.log({"x": 1}, 0)


def test_a_busy_service_is_tried_again_with_the_same_key() -> None:
    """A batch that was not taken is sent again under one idempotency key, and counts once."""
    transport = Failing(busy=2)
    logger = Logger("m", "1", transport, pace=Pace(every=0.01))
    logger.log({"x": 1}, 0)
    wait_until(lambda: logger.stats().sent == 1, what="the event to be sent", timeout=10)
    assert len(transport.keys) == 3
    assert len(set(transport.keys)) == 1
    logger.close()


def test_nothing_reaches_the_serving_path() -> None:
    """A broken transport and features that are none are counted, and never raised."""
    logger = Logger("m", "1", Failing(broken=True))
    assert logger.log({"x": 1}, 0)
    assert not logger.log(None, 0)  # type: ignore[arg-type]
    logger.close()
    assert (logger.stats().failed, logger.stats().dropped) == (1, 1)


def test_threads_share_a_logger() -> None:
    """Events of many threads all arrive, each once."""
    sent = Memory()
    with Logger("m", "1", sent) as logger:
        threads = [
            threading.Thread(target=lambda n=n: [logger.log({"x": i}, n) for i in range(200)])
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({(e["x"], e["prediction"]) for e in sent.events}) == len(sent.events) == 1600


def test_a_forked_child_starts_with_nothing() -> None:
    """What waits in the parent is sent by the parent alone."""
    sent = Memory()
    logger = Logger("m", "1", sent, pace=Pace(every=3600.0))
    logger._queue.append(({"x": 1}, 0, None, None, 0))
    child = os.fork()
    if child == 0:
        os._exit(0 if logger.stats().waiting == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert logger.stats().waiting == 1
    logger.close()
