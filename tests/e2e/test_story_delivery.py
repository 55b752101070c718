"""Ten thousand transitions to a receiver that fails half of the time, while dispatchers are killed again and again."""

from __future__ import annotations

import threading
import time
from itertools import count
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from tests.alert_rules import store
from tests.integration.test_dispatch_kills import MODELS, Moods, Traffic, check, end_of, pending, start
from tests.servers.process import wait_until
from tests.servers.story import Story
from tests.strict_receiver import StrictReceiver, receiver

TRANSITIONS = 10_000
SECONDS_PER_KILL = 3.0
MESSAGES_PER_WINDOW = 2


class Killer:
    """Kills the dispatcher every few seconds and starts the next one, in a thread of its own."""

    def __init__(self, traffic: Traffic, server: StrictReceiver) -> None:
        self._traffic, self._server = traffic, server
        self._stop = threading.Event()
        self._process = start(traffic.database, server)
        self._thread = threading.Thread(target=self._run)
        self.kills = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        end_of(self._process)

    def rest(self) -> None:
        """Kill no more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            before = len(self._server.seen)
            while len(self._server.seen) == before and not self._stop.wait(0.05):
                pass  # a kill before it has come to work would prove nothing
            if self._stop.wait(SECONDS_PER_KILL):
                return
            end_of(self._process)
            self.kills += 1
            self._process = start(self._traffic.database, self._server)


@pytest.mark.story
@pytest.mark.timeout(1800)
def test_ten_thousand_transitions_arrive(tmp_path: Path, story: Story) -> None:
    """Nothing is lost, nothing is doubled for a receiver that keeps ids, and all of it in order."""
    database = store(tmp_path)
    traffic = Traffic(database, np.random.default_rng(3))
    began = time.monotonic()
    with receiver(Moods()) as server, Killer(traffic, server) as killer:
        for n in count():
            if traffic.transitions >= TRANSITIONS:
                break
            traffic.close_window(n)
            enough = len(server.taken) + MESSAGES_PER_WINDOW
            wait_until(
                lambda enough=enough: len(server.taken) >= enough or pending(database) == 0,  # type: ignore[misc]
                what="messages",
                timeout=180,
                interval=0.01,
            )
        story.step(f"{traffic.transitions} transitions of {MODELS} models, {killer.kills} dispatchers killed")
        wait_until(lambda: pending(database) == 0, what="the outbox", timeout=600, interval=0.5)
        killer.rest()
    story.step(f"the outbox is empty after {time.monotonic() - began:.0f} s")
    check(traffic, server)
    story.step("every alert's last state arrived, in order, and no news came under two ids")
    story.say(f"{len(server.seen)} requests, of which {len(server.taken)} were taken")
    assert killer.kills >= 5
