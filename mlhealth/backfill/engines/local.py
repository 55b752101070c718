"""Processes of this machine; one worker is this process itself."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import ClassVar

from mlhealth.backfill.engines.base import AHEAD, Engine, R, T


class LocalEngine(Engine):
    """A pool of freshly started processes."""

    name: ClassVar[str] = "local"
    _pool: ProcessPoolExecutor | None = None

    def start(self) -> None:
        """Start the pool, unless one worker is enough."""
        if self.workers > 1:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, mp_context=context)

    def run(self, task: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield results as they are done."""
        if self._pool is None:
            yield from ((number, task(item)) for number, item in enumerate(items))
            return
        waiting = iter(enumerate(items))
        flying: dict[Future[R], int] = {}
        while True:
            for number, item in waiting:
                flying[self._pool.submit(task, item)] = number
                if len(flying) >= AHEAD * self.workers:
                    break
            if not flying:
                return
            done, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in done:
                yield flying.pop(future), future.result()

    def stop(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
