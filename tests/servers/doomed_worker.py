"""`python -m tests.servers.doomed_worker CONFIG POINT TIMES`: a real worker that kills itself at a named point."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

from mlhealth.app import build, worker
from mlhealth.config.service import load
from mlhealth.threads import single_threaded


def killer(point: str, times: int) -> Callable[[str], None]:
    """Return a fault that sends this process SIGKILL when `point` is reached for the n-th time."""
    left = times

    def fault(at: str) -> None:
        nonlocal left
        left -= at == point
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return fault


def main() -> None:
    """Run until killed, or until SIGTERM."""
    config, point, times = sys.argv[1:]
    service = build(load(config))
    service.database.claim()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with single_threaded():
        worker(service, killer(point, int(times))).run(stop)


if __name__ == "__main__":
    main()
