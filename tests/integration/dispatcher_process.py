"""A dispatcher in a process of its own, for tests that kill it; arguments: the store's and the receiver's address."""

from __future__ import annotations

import sys
import threading

from mlhealth.alerts import backoff
from mlhealth.alerts.dispatch import Dispatcher, Options, Receiver
from mlhealth.alerts.notifiers.registry import notifier
from mlhealth.clock import SECOND
from mlhealth.config.receivers import ReceiverConfig
from mlhealth.store.database import Database


def main() -> None:
    """Deliver until killed, with short pauses."""
    backoff.FIRST = backoff.LONGEST = SECOND // 20
    config = ReceiverConfig.model_validate({"webhook": {"url": sys.argv[2], "timeout": "30s"}})
    database = Database.open(sys.argv[1])
    receivers = {"oncall": Receiver(notifier("oncall", config), config)}
    Dispatcher(database, receivers, Options(poll=0.02)).run(threading.Event())


if __name__ == "__main__":
    main()
