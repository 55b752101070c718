"""Killing the dispatcher with SIGKILL while its receivers fail half of the time."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mlhealth.store.database import Database
from tests.alert_rules import store
from tests.delivery import KINDS, Moody, Traffic, check, killed, pending, started
from tests.servers.process import wait_until
from tests.strict_receiver import receiver

WINDOWS = 24
MODELS = 25
WINDOWS_PER_KILL = 8
NEWS_PER_WINDOW = 6


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_killed_dispatchers_lose_and_double_nothing(kind: str, tmp_path: Path) -> None:
    """Each alert's last state arrives, in order, and a receiver that keeps ids sees none twice."""
    database, moody = store(tmp_path), Moody(kind, seed=7)
    traffic = Traffic(database, np.random.default_rng(3), MODELS, (kind,))
    with receiver(moody) as server:
        config = {kind: KINDS[kind].config(server.url)}
        process = started(database, config)
        try:
            for n in range(WINDOWS):
                traffic.close_window(n)
                enough = len(moody.heard) + NEWS_PER_WINDOW
                at_work = partial(_told, moody, enough, database)
                wait_until(at_work, what="news", timeout=180, interval=0.01)
                if n % WINDOWS_PER_KILL == WINDOWS_PER_KILL - 1:
                    killed(process)
                    process = started(database, config)
            wait_until(lambda: pending(database) == 0, what="the outbox", timeout=240, interval=0.2)
        finally:
            killed(process)
    check(traffic, {kind: moody})
    assert len(moody.heard) > WINDOWS


def _told(moody: Moody, enough: int, database: Database) -> bool:
    """Whether the dispatcher is in the middle of its work, or has done all of it."""
    return len(moody.heard) >= enough or pending(database) == 0
