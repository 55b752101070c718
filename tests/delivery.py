"""Models whose health goes up and down, receivers that fail half of the time, and dispatchers that get killed."""

from __future__ import annotations

import json
import multiprocessing
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from typing import Any

import numpy as np
from sqlalchemy import func, select

from mlhealth.alerts.engine import EngineState, step
from mlhealth.alerts.notice import from_json
from mlhealth.alerts.rules import parse_rules
from mlhealth.clock import SystemClock, to_iso
from mlhealth.records import AlertState
from mlhealth.store.alert_tables import outbox, record
from mlhealth.store.database import Database
from tests.alert_rules import DESIGN_RULE, window
from tests.integration.dispatcher_process import deliver
from tests.strict_receiver import Answer, Reply, Request

FAULTS: tuple[Answer, ...] = (Reply(503), Reply(429, b"", {"retry-after": "0"}), "reset", "half")
ROUTING_KEY = "0" * 32


@dataclass(frozen=True)
class News:
    """What a receiver heard of an alert; `began` is when it fired, None where the protocol leaves it out."""

    alert: str
    state: AlertState
    began: str | None


def of_webhook(request: Request) -> list[News]:
    """Return what an Alertmanager-shaped webhook says."""
    return [
        News(a["labels"]["model"], AlertState(a["status"]), a["startsAt"]) for a in request.json["alerts"]
    ]


def of_alertmanager(request: Request) -> list[News]:
    """Return what a post to Alertmanager says: an end that is not ahead is an end."""
    now = to_iso(SystemClock().now())
    return [
        News(
            a["labels"]["model"],
            AlertState.FIRING if a["endsAt"] > now else AlertState.RESOLVED,
            a["startsAt"],
        )
        for a in request.json
    ]


def of_pagerduty(request: Request) -> list[News]:
    """Return what an event says of the incident under its dedup key."""
    event = request.json
    fires = event["event_action"] == "trigger"
    state = AlertState.FIRING if fires else AlertState.RESOLVED
    return [News(event["dedup_key"], state, event["payload"]["timestamp"] if fires else None)]


@dataclass(frozen=True)
class Kind:
    """How a kind of receiver is configured at an address, and how its requests are read."""

    config: Callable[[str], Mapping[str, Any]]
    read: Callable[[Request], list[News]]


KINDS = {
    "webhook": Kind(lambda url: {"webhook": {"url": url, "timeout": "30s"}}, of_webhook),
    "pagerduty": Kind(
        lambda url: {"pagerduty": {"url": url, "routing_key": ROUTING_KEY, "timeout": "30s"}}, of_pagerduty
    ),
    "alertmanager": Kind(
        lambda url: {"alertmanager": {"url": url, "timeout": "30s"}, "group_by": ["rule"]}, of_alertmanager
    ),
}


class Moody:
    """A receiver of one kind that fails half of the time, in every way a network knows, and keeps what it heard."""

    def __init__(self, kind: str, seed: int) -> None:
        self.heard: list[tuple[str | None, News]] = []
        self._read = KINDS[kind].read
        self._rng = np.random.default_rng(seed)

    def __call__(self, request: Request) -> Answer:
        """Take the request, or not; called by one thread at a time."""
        fails = self._rng.random() < 0.5
        answer = FAULTS[self._rng.integers(len(FAULTS))] if fails else _taken(request)
        if answer == "half" or not fails:
            self.heard += [(request.headers.get("webhook-id"), news) for news in self._read(request)]
        return answer


def _taken(request: Request) -> Reply:
    body = request.json
    key = body.get("dedup_key") if isinstance(body, dict) else None
    return Reply(202, json.dumps({"status": "success", "dedup_key": key}).encode())


@dataclass
class Traffic:
    """Models whose health goes up and down; remembers each one's last state that is worth telling."""

    database: Database
    rng: np.random.Generator
    models: int
    receivers: tuple[str, ...]
    states: dict[str, EngineState] = field(default_factory=dict)
    last: dict[str, tuple[str, AlertState]] = field(default_factory=dict)
    transitions: int = 0

    def __post_init__(self) -> None:
        """Read the guide's rule, telling these receivers."""
        told = f"notify: [{', '.join(self.receivers)}]"
        self._rules = parse_rules(DESIGN_RULE.replace("notify: [oncall]", told))

    def close_window(self, n: int) -> None:
        """Judge and record the n-th window of every model."""
        outcomes = []
        for model in (f"m{i}" for i in range(self.models)):
            status = "critical" if self.rng.random() < 0.5 else "healthy"
            before = self.states.get(model, EngineState())
            outcomes.append(step(self._rules, window(n, status, model=model), before))
            self.states[model] = outcomes[-1].state
        with self.database.begin() as connection:
            for outcome in outcomes:
                record(connection, outcome, SystemClock().now())
        for alert in (alert for outcome in outcomes for alert in outcome.transitions):
            self.transitions += 1
            if alert.state in (AlertState.FIRING, AlertState.RESOLVED):
                self.last[alert.model] = (alert.fingerprint, alert.state)


_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.integration.dispatcher_process"])


def started(database: Database, receivers: Mapping[str, Mapping[str, Any]]) -> ForkServerProcess:
    """Start a dispatcher in a process of its own."""
    process = _PROCESSES.Process(target=deliver, args=(str(database.engine.url), receivers), daemon=True)
    process.start()
    return process


def killed(process: ForkServerProcess) -> None:
    """End a dispatcher with SIGKILL and wait until it is gone."""
    process.kill()
    process.join()


def pending(database: Database) -> int:
    """Return the rows that still wait."""
    with database.read() as connection:
        count = connection.execute(select(func.count()).where(outbox.c.state == "pending")).scalar_one()
    return int(count)


def check(traffic: Traffic, receivers: Mapping[str, Moody]) -> None:
    """Check that every alert's last state arrived everywhere, in order, that none was opened twice, none lost."""
    for name, moody in receivers.items():
        silent = _dropped(traffic.database, name)
        heard = _by_alert(moody.heard)
        for model, (fingerprint, state) in traffic.last.items():
            history = heard.get(f"mlhealth-{fingerprint}" if name == "pagerduty" else model, [])
            needless = state is AlertState.RESOLVED and model in silent
            assert needless or [news.state for news in history[-1:]] == [state], (name, model, history)
            _check_order(history)
        _check_ids(moody.heard)
    with traffic.database.read() as connection:
        lost = connection.execute(select(outbox.c.note).where(outbox.c.state == "failed")).all()
    assert lost == []


def _check_order(history: Iterable[News]) -> None:
    """Check that an alert never fires again for a beginning that has ended: that would be a second page."""
    began = ended = ""
    for news in history:
        if news.began is not None:
            assert news.began >= began, history
            began = news.began
        if news.state is AlertState.RESOLVED:
            ended = began
        else:
            assert began > ended, history


def _check_ids(heard: Iterable[tuple[str | None, News]]) -> None:
    """Check that no news came under two ids, by which a receiver would take it for two."""
    ids: dict[News, set[str]] = defaultdict(set)
    for id_, news in heard:
        if id_ is not None:
            ids[news].add(id_)
    assert all(len(names) == 1 for names in ids.values())


def _by_alert(heard: Iterable[tuple[str | None, News]]) -> dict[str, list[News]]:
    found: dict[str, list[News]] = defaultdict(list)
    for _, news in heard:
        found[news.alert].append(news)
    return found


def _dropped(database: Database, receiver: str) -> set[str]:
    """Return the models whose last end the receiver needed not be told of."""
    query = select(outbox.c.notice).where(outbox.c.state == "dropped", outbox.c.receiver == receiver)
    with database.read() as connection:
        return {from_json(notice).alert.model for (notice,) in connection.execute(query)}
