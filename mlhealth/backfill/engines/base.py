"""What a backfill needs of an engine, and no more: run a function over items, give results as they come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import ClassVar, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""Items in flight per worker: enough to keep it busy, few enough that waiting results stay small."""


class Engine(ABC):
    """Runs functions on workers; a context manager, for what it starts is to be stopped.

    `name`: what users say. `package`: the package it needs, which is also the extra that brings it ("" for none).
    `workers`: how many to start, where the engine starts any. `address`: of a cluster that runs already, else None.
    """

    name: ClassVar[str]
    package: ClassVar[str] = ""

    def __init__(self, workers: int = 1, address: str | None = None) -> None:
        self.workers = workers
        self.address = address

    @abstractmethod
    def start(self) -> None:
        """Start workers, or connect to them; raises ConfigError where that cannot be done."""

    @abstractmethod
    def run(self, task: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield each item's number and result, as they are done, in any order.

        `task`, items and results must be picklable. What the task raises, this raises, and the rest is given up.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stop what `start` started; may be called twice."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def called(task: Callable[[T], R], item: T) -> R:
    """Return what a task makes of an item; for engines that hold the task apart, and send functions."""
    return task(item)
