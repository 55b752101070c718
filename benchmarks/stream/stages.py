"""CPU time by stage of the worker's one thread: where a stage calls another, the time is the other's alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mlhealth.sources.confluent import ConfluentSource
from mlhealth.sources.kafka import KafkaSource
from mlhealth.store import checkpoints
from mlhealth.worker import intake
from mlhealth.worker.growing import OpenProfiles
from mlhealth.worker.loop import Worker

OTHER = "other"


class StageClock:
    """Seconds of this thread's CPU by stage, in `spent`."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {OTHER: 0.0}
        self._stack = [OTHER]
        self._since = time.thread_time()

    def watch(self, owner: Any, name: str, stage: str) -> None:
        """Count what the attribute `name` of a module, class or object does as `stage`."""
        setattr(owner, name, self.timed(getattr(owner, name), stage))

    def stop(self) -> dict[str, float]:
        """Return the seconds by stage until now."""
        self._charge()
        return dict(self.spent)

    def timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self._charge()
            self._stack.append(stage)
            try:
                return function(*arguments, **named)
            finally:
                self._charge()
                self._stack.pop()

        return counted

    def _charge(self) -> None:
        now = time.thread_time()
        stage = self._stack[-1]
        self.spent[stage] = self.spent.get(stage, 0.0) + now - self._since
        self._since = now


def watched(worker: Worker) -> StageClock:
    """Return a clock of a worker that has been prepared, started just now."""
    clock = StageClock()
    clock.watch(KafkaSource, "poll", "poll")
    clock.watch(ConfluentSource, "poll", "poll")
    clock.watch(intake, "decode", "decode")
    clock.watch(OpenProfiles, "add", "profile")
    clock.watch(OpenProfiles, "dirty", "checkpoint")
    clock.watch(checkpoints, "save", "checkpoint")
    clock.watch(worker, "close_windows", "closing")
    return clock
