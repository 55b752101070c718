"""A Dask cluster: one that runs already, or workers of this machine started for the backfill."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from mlhealth.backfill.engines.base import AHEAD, Engine, R, T, called
from mlhealth.errors import ConfigError


class DaskEngine(Engine):
    """`address` is the scheduler's, such as tcp://scheduler:8786."""

    name: ClassVar[str] = "dask"
    package: ClassVar[str] = "distributed"
    _client: Any = None
    _cluster: Any = None

    def start(self) -> None:
        """Connect, or start a scheduler and workers on loopback."""
        from distributed import Client, LocalCluster

        if self.address is None:
            self._cluster = LocalCluster(
                n_workers=self.workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
            )
        try:
            self._client = Client(self._cluster or self.address, timeout="15s")
        except OSError as error:
            raise ConfigError(f"no Dask scheduler answers at {self.address}: {error}") from None

    def run(self, task: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield results as they are done; the scheduler forgets each once it was yielded."""
        from distributed import as_completed

        workers = max(len(self._client.scheduler_info()["workers"]), 1)
        (shared,) = self._client.scatter(
            [task], broadcast=True, hash=False
        )  # a task may hold a whole baseline
        waiting = iter(enumerate(items))
        numbers: dict[str, int] = {}

        def submit() -> list[Any]:
            for number, item in waiting:
                future = self._client.submit(called, shared, item, pure=False)
                numbers[future.key] = number
                return [future]
            return []

        done = as_completed([future for _ in range(AHEAD * workers) for future in submit()])
        for future in done:
            result: R = future.result()
            yield numbers.pop(future.key), result
            future.release()
            done.update(submit())

    def stop(self) -> None:
        """Disconnect, and end what was started."""
        for part in (self._client, self._cluster):
            if part is not None:
                part.close()
        self._client = self._cluster = None
