"""Every engine of a backfill: each item's result once, failures told, workers ended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from mlhealth.backfill.engines.base import Engine
from mlhealth.backfill.engines.registry import ENGINES, engine
from mlhealth.errors import ConfigError
from tests.e2e.engine_checks import Times, process, squared

HEAVY = ("ray", "spark")
"""Engines that take long to start; their tests are slow ones."""


@pytest.fixture(
    params=[pytest.param(n, marks=[pytest.mark.slow] if n in HEAVY else []) for n in ENGINES], scope="module"
)
def started(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine with two workers of this machine."""
    cls = ENGINES[request.param]
    if cls.package and find_spec(cls.package) is None:
        pytest.skip(f"{cls.package} is not installed")
    with engine(request.param, workers=2) as running:
        yield running


def test_each_item_gives_its_result_once(started: Engine) -> None:
    """Results carry the numbers of their items, none twice and none lost, also with many more items than workers."""
    items = list(range(100, 140))
    assert sorted(started.run(squared, items)) == [(i, n * n) for i, n in enumerate(items)]


def test_a_task_may_be_an_object(started: Engine) -> None:
    """Whatever can be called and pickled is a task."""
    assert sorted(started.run(Times(3), [5, 7])) == [(0, 15), (1, 21)]


def test_nothing_to_do_is_done_at_once(started: Engine) -> None:
    """No items, no results."""
    assert list(started.run(squared, [])) == []


def test_work_leaves_this_process(started: Engine) -> None:
    """Two workers are processes (or threads of another one) of their own."""
    assert os.getpid() not in {result for _, result in started.run(process, range(4))}


def test_a_failed_item_fails_the_run(started: Engine) -> None:
    """What a worker raised arrives as it was raised, message and all."""
    with pytest.raises(Exception, match=r"13\.parquet: cannot be read"):
        list(started.run(squared, [1, 13]))


def test_an_engine_that_is_not_there_is_told() -> None:
    """An unknown name lists the known ones; a missing package is named with its extra."""
    with pytest.raises(ConfigError, match="there is no engine 'hadoop'; known are local, dask"):
        engine("hadoop")
    absent = [name for name, cls in ENGINES.items() if cls.package and find_spec(cls.package) is None]
    for name in absent:
        with pytest.raises(ConfigError, match=rf"pip install 'mlhealth\[{name}\]'"):
            engine(name)
