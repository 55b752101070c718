"""Prepared stores with one small baseline, for workers that read a log in memory; a producer for those of a broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from mlhealth.baseline.record import Baseline
from mlhealth.store.database import Database
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.stream import Bench, loan_baseline


@pytest.fixture(scope="session")
def baseline() -> Baseline:
    """One small baseline for all tests of the stream."""
    return loan_baseline()


@contextmanager
def prepared(url: str, baseline: Baseline) -> Iterator[Bench]:
    """Yield a store with its tables and the baseline, closed afterwards."""
    bench = Bench(Database.open(url), baseline)
    bench.prepare()
    yield bench
    bench.database.close()


@pytest.fixture
def sqlite_bench(tmp_path: Path, baseline: Baseline) -> Iterator[Bench]:
    """A prepared store in a file."""
    with prepared(f"sqlite:///{tmp_path / 'store.db'}", baseline) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, baseline: Baseline) -> Iterator[Bench]:
    """A prepared store of each kind."""
    sqlite = f"sqlite:///{tmp_path / 'store.db'}"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres")
    with prepared(url, baseline) as made:
        yield made


@pytest.fixture
def producer(kafka: KafkaCluster) -> Iterator[Any]:
    """A producer of the test's own, of messages of up to 11 MB."""
    made = KafkaProducer(bootstrap_servers=kafka.bootstrap, max_request_size=11 * 1024 * 1024)
    yield made
    made.close(timeout=5)
