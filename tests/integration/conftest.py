"""Prepared stores with one small baseline, for tests that let a worker of this process read a log in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlhealth.baseline.record import Baseline
from mlhealth.store.database import Database
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
