"""Ten thousand transitions to receivers that fail half of the time, while dispatchers are killed again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from mlhealth.store.database import Database
from tests.alert_rules import store
from tests.delivery import KINDS, Moody, Traffic, check, killed, pending, started
from tests.servers.process import wait_until
from tests.servers.story import Story
from tests.strict_receiver import receiver

TRANSITIONS = 10_000
MODELS = 200
SECONDS_PER_KILL = 3.0
NEWS_PER_WINDOW = 60


class Killer:
    """Kills the dispatcher every few seconds of its work and starts the next one, in a thread of its own."""

    def __init__(
        self, database: Database, receivers: Mapping[str, Mapping[str, Any]], moods: Mapping[str, Moody]
    ) -> None:
        self._database, self._receivers, self._moods = database, receivers, moods
        self._stop = threading.Event()
        self._process = started(database, receivers)
        self._thread = threading.Thread(target=self._run)
        self.kills = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        killed(self._process)

    @property
    def heard(self) -> int:
        """The news that all receivers have heard."""
        return sum(len(moody.heard) for moody in self._moods.values())

    def _run(self) -> None:
        while not self._stop.is_set():
            before = self.heard
            while self.heard == before and not self._stop.wait(0.05):
                pass  # a kill before it has come to work would prove nothing
            if self._stop.wait(SECONDS_PER_KILL):
                return
            killed(self._process)
            self.kills += 1
            self._process = started(self._database, self._receivers)


@pytest.mark.story
@pytest.mark.timeout(1800)
def test_ten_thousand_transitions_arrive(tmp_path: Path, story: Story) -> None:
    """Nothing is lost, nothing is doubled for a receiver that knows news again, and all of it comes in order."""
    database, began = store(tmp_path), time.monotonic()
    moods = {kind: Moody(kind, seed) for seed, kind in enumerate(KINDS)}
    traffic = Traffic(database, np.random.default_rng(3), MODELS, tuple(KINDS))
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(receiver(moody)) for kind, moody in moods.items()}
        told = {kind: KINDS[kind].config(server.url) for kind, server in servers.items()}
        killer = stack.enter_context(Killer(database, told, moods))
        for n in count():
            if traffic.transitions >= TRANSITIONS:
                break
            traffic.close_window(n)
            enough = killer.heard + NEWS_PER_WINDOW
            wait_until(
                lambda enough=enough: killer.heard >= enough or pending(database) == 0,  # type: ignore[misc]
                what="news",
                timeout=180,
                interval=0.02,
            )
        told_of = f"{traffic.transitions:,} transitions of {MODELS} models for {len(moods)} receivers"
        story.step(f"{told_of}, {killer.kills} dispatchers killed")
        wait_until(lambda: pending(database) == 0, what="the outbox", timeout=600, interval=0.5)
        story.step(f"the outbox is empty after {time.monotonic() - began:.0f} s, {killer.kills} killed")
    check(traffic, moods)
    story.step("every alert's last state is everywhere, in order; none is lost, and none was opened twice")
    for kind, server in servers.items():
        story.say(f"{kind}: {len(server.seen):,} requests, {len(server.taken):,} of them taken")
    assert killer.kills >= 5
