"""Killing the dispatcher with SIGKILL while its receiver fails half of the time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from mlhealth.alerts.engine import EngineState, step
from mlhealth.alerts.notice import from_json
from mlhealth.clock import SystemClock
from mlhealth.records import AlertState
from mlhealth.store.alert_tables import outbox, record
from mlhealth.store.database import Database
from tests.alert_rules import design_rules, store, window
from tests.servers.process import tied_to_parent, wait_until
from tests.strict_receiver import Answer, Reply, Request, StrictReceiver, receiver

WINDOWS = int(os.environ.get("MLHEALTH_KILL_WINDOWS", "40"))
MODELS = 25
WINDOWS_PER_KILL = 8
MESSAGES_PER_WINDOW = 6
FAULTS: tuple[Answer, ...] = (Reply(503), Reply(429, b"", {"retry-after": "0"}), "reset", "half")


@dataclass
class Traffic:
    """Models whose health goes up and down; remembers each one's last state that is worth telling."""

    database: Database
    rng: np.random.Generator
    states: dict[str, EngineState] = field(
        default_factory=lambda: {f"m{n}": EngineState() for n in range(MODELS)}
    )
    last: dict[str, AlertState] = field(default_factory=dict)
    transitions: int = 0

    def close_window(self, n: int) -> None:
        """Judge and record the n-th window of every model."""
        rules = design_rules()
        for model, state in self.states.items():
            status = "critical" if self.rng.random() < 0.5 else "healthy"
            outcome = step(rules, window(n, status, model=model), state)
            self.states[model] = outcome.state
            with self.database.begin() as connection:
                record(connection, outcome, SystemClock().now())
            told = {AlertState.FIRING, AlertState.RESOLVED}
            self.last |= {a.model: a.state for a in outcome.transitions if a.state in told}
            self.transitions += len(outcome.transitions)


def start(database: Database, server: StrictReceiver) -> subprocess.Popen[bytes]:
    """Start a dispatcher."""
    script = Path(__file__).with_name("dispatcher_process.py")
    command = [sys.executable, str(script), str(database.engine.url), server.url]
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(tied_to_parent(command), cwd=root, env=os.environ | {"OMP_NUM_THREADS": "1"})


def pending(database: Database) -> int:
    """Return the rows that still wait."""
    with database.read() as connection:
        count = connection.execute(select(func.count()).where(outbox.c.state == "pending")).scalar_one()
    return int(count)


def dropped(database: Database) -> set[str]:
    """Return the models whose last end nobody needed to be told of."""
    with database.read() as connection:
        rows = connection.execute(select(outbox.c.notice).where(outbox.c.state == "dropped"))
        return {from_json(notice).alert.model for (notice,) in rows}


class Moods:
    """A receiver that fails half of the time, in every way a network knows."""

    def __init__(self) -> None:
        self._rng, self._lock = np.random.default_rng(7), threading.Lock()

    def __call__(self, request: Request) -> Answer:
        """Take the request, or not."""
        with self._lock:
            return FAULTS[self._rng.integers(len(FAULTS))] if self._rng.random() < 0.5 else Reply()


def end_of(process: subprocess.Popen[bytes]) -> None:
    """Kill a dispatcher with SIGKILL and wait for its end."""
    process.kill()
    process.wait()


def check(traffic: Traffic, server: StrictReceiver) -> None:
    """Check that every alert's last state arrived, in order, and that no news came under two ids."""
    heard, ids = _heard(server)
    silent = dropped(traffic.database)
    for model, state in traffic.last.items():
        told = [news.state for news in heard[model]]
        assert told[-1:] == [state] or (state is AlertState.RESOLVED and model in silent)
    assert all(len(names) == 1 for names in ids.values())
    for history in heard.values():
        assert [a.began for a in history] == sorted(a.began for a in history), history


@pytest.mark.timeout(600)
def test_killed_dispatchers_lose_and_double_nothing(tmp_path: Path) -> None:
    """Each alert's last state arrives, in order, and a receiver that keeps ids sees none twice."""
    database = store(tmp_path)
    traffic = Traffic(database, np.random.default_rng(3))
    with receiver(Moods()) as server:
        process = start(database, server)
        try:
            for n in range(WINDOWS):
                traffic.close_window(n)
                enough = len(server.taken) + MESSAGES_PER_WINDOW
                at_work = partial(_told, server, enough, database)
                wait_until(at_work, what="messages", timeout=180, interval=0.01)
                if n % WINDOWS_PER_KILL == WINDOWS_PER_KILL - 1:
                    end_of(process)
                    process = start(database, server)
            wait_until(lambda: pending(database) == 0, what="the outbox", timeout=240, interval=0.2)
        finally:
            end_of(process)
    check(traffic, server)
    assert len(server.taken) > WINDOWS


def _told(server: StrictReceiver, enough: int, database: Database) -> bool:
    """Whether the dispatcher is in the middle of its work, or has done all of it."""
    return len(server.taken) >= enough or pending(database) == 0


@dataclass(frozen=True)
class News:
    """What a receiver heard of an alert."""

    fingerprint: str
    state: AlertState
    began: str


def _heard(server: StrictReceiver) -> tuple[dict[str, list[News]], dict[News, set[str]]]:
    """Return what a receiver that keeps ids has heard of each model, and the ids under which each news came."""
    heard: dict[str, list[News]] = defaultdict(list)
    ids: dict[News, set[str]] = defaultdict(set)
    for request in server.taken:
        alert = request.json["alerts"][0]
        news = News(alert["fingerprint"], AlertState(alert["status"]), alert["startsAt"])
        if not ids[news]:
            heard[alert["labels"]["model"]].append(news)
        ids[news].add(request.headers["webhook-id"])
    return heard, ids
