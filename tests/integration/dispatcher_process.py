"""A dispatcher for tests that kill it: what its process runs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from mlhealth.alerts import backoff
from mlhealth.alerts.dispatch import Dispatcher, Options, Receiver
from mlhealth.alerts.notifiers.registry import notifier, receiver_config
from mlhealth.clock import SECOND
from mlhealth.store.database import Database


def deliver(store: str, receivers: Mapping[str, Mapping[str, Any]]) -> None:
    """Deliver until killed, with short pauses between attempts."""
    backoff.FIRST = backoff.LONGEST = SECOND // 20
    served = {
        name: Receiver(notifier(name, given), receiver_config(name, given))
        for name, given in receivers.items()
    }
    Dispatcher(Database.open(store), served, Options(poll=0.02)).run(threading.Event())
