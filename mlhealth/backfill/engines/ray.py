"""A Ray cluster: one that runs already, or a head of this machine started for the backfill."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from mlhealth.backfill.engines.base import AHEAD, Engine, R, T, called
from mlhealth.errors import ConfigError


class RayEngine(Engine):
    """`address` is what `ray.init` takes: "auto", host:port or ray://host:port."""

    name: ClassVar[str] = "ray"
    package: ClassVar[str] = "ray"
    _ray: Any = None

    def start(self) -> None:
        """Connect, or start a head."""
        import os

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        import ray

        own = {"num_cpus": self.workers, "include_dashboard": False} if self.address is None else {}
        try:
            ray.init(address=self.address or "local", log_to_driver=False, logging_level="ERROR", **own)
        except ConnectionError as error:
            raise ConfigError(f"no Ray cluster answers at {self.address}: {error}") from None
        self._ray = ray

    def run(self, task: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield results as they are done."""
        ray = self._ray
        remote, shared = ray.remote(called), ray.put(task)  # a task may be any callable, Ray takes functions
        most = AHEAD * max(int(ray.cluster_resources().get("CPU", 1)), 1)
        waiting = iter(enumerate(items))
        flying: dict[Any, int] = {}
        while True:
            for number, item in waiting:
                flying[remote.remote(shared, item)] = number
                if len(flying) >= most:
                    break
            if not flying:
                return
            done, _ = ray.wait(list(flying), num_returns=1)
            for reference in done:
                yield flying.pop(reference), ray.get(reference)

    def stop(self) -> None:
        """Disconnect; a head that was started ends."""
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = None
