"""Delivery and audit on PostgreSQL, where several processes work at once."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mlhealth.alerts.dispatch import Dispatcher, Options, Receiver
from mlhealth.alerts.engine import step
from mlhealth.alerts.notifiers.registry import notifier
from mlhealth.clock import SystemClock
from mlhealth.config.receivers import ReceiverConfig
from mlhealth.store import schema
from mlhealth.store.alert_tables import record
from mlhealth.store.audit import Entry, append, verify
from mlhealth.store.database import Database
from tests.alert_rules import design_rules, window
from tests.servers.process import wait_until
from tests.strict_receiver import receiver

MODELS = 60


def test_two_dispatchers_share_the_work_and_double_nothing(postgres: str) -> None:
    """Two dispatchers over one PostgreSQL store deliver sixty alerts, each once."""
    database = Database.open(postgres)
    schema.ensure(database)
    stop = threading.Event()
    with receiver() as server:
        config = ReceiverConfig.model_validate({"webhook": {"url": server.url}})
        stores = [Database.open(postgres) for _ in range(2)]
        threads = [
            threading.Thread(
                target=Dispatcher(
                    store,
                    {"oncall": Receiver(notifier("oncall", config), config)},
                    Options(poll=0.01, rng=np.random.default_rng(n)),
                ).run,
                args=(stop,),
            )
            for n, store in enumerate(stores)
        ]
        for thread in threads:
            thread.start()
        for n in range(MODELS):
            with database.begin() as connection:
                record(connection, step(design_rules(), window(0, model=f"m{n}")), SystemClock().now())
        wait_until(lambda: len(server.taken) >= MODELS, what="sixty messages", timeout=60)
        stop.set()
        for thread in threads:
            thread.join()
    told = Counter(request.json["alerts"][0]["labels"]["model"] for request in server.taken)
    assert told == {f"m{n}": 1 for n in range(MODELS)}
    for each in (database, *stores):
        each.close()


def test_entries_of_many_processes_make_one_chain(postgres: str) -> None:
    """Appended from four connections at once, the audit trail has no fork and no gap."""
    database = Database.open(postgres)
    schema.ensure(database)

    def write(n: int) -> None:
        with database.begin() as connection:
            append(connection, Entry(n, "kim", "x", str(n), {}))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(100)))
    with database.read() as connection:
        found = verify(connection)
    assert (found.ok, found.rows) == (True, 100)
    database.close()
