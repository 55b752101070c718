"""A Spark cluster, through a session of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from mlhealth.backfill.engines.base import Engine, R, T


class SparkEngine(Engine):
    """`address` is a Spark master, such as spark://master:7077; by default threads of this machine."""

    name: ClassVar[str] = "spark"
    package: ClassVar[str] = "pyspark"
    _session: Any = None

    def start(self) -> None:
        """Start or join a session; its interpreters are this one's."""
        import os
        import sys

        from pyspark.sql import SparkSession

        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder.appName("mlhealth-backfill").config("spark.ui.enabled", "false")
        if self.address is None:
            builder = builder.master(f"local[{self.workers}]").config("spark.driver.bindAddress", "127.0.0.1")
            builder = builder.config("spark.driver.host", "127.0.0.1")
        else:
            builder = builder.master(self.address)
        self._session = builder.getOrCreate()

    def run(self, task: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield results in order, one partition of one item at a time."""
        if items:
            numbered = list(enumerate(items))
            spread = self._session.sparkContext.parallelize(numbered, len(numbered))
            yield from spread.map(lambda pair: (pair[0], task(pair[1]))).toLocalIterator(
                prefetchPartitions=True
            )

    def stop(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.stop()
            self._session = None
