"""The contract of an engine, checked where nothing of the tests is; arguments: its name, and an address if one runs."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from mlhealth.backfill.engines.base import Engine
from mlhealth.backfill.engines.registry import engine
from mlhealth.errors import DataError


def squared(number: int) -> int:
    """Return a number's square; 13 is refused."""
    if number == 13:
        raise DataError("13.parquet: cannot be read")
    return number * number


def process(_: int) -> int:
    """Return the number of the process it runs in."""
    return os.getpid()


@dataclass(frozen=True)
class Times:
    """A task that is an object: a number times another."""

    factor: int

    def __call__(self, number: int) -> int:
        """Return the product."""
        return self.factor * number


def told(started: Engine) -> str:
    """Return what a run says whose item failed."""
    try:
        list(started.run(squared, [1, 13]))
    except Exception as error:  # noqa: BLE001 - engines wrap what a worker raised
        return str(error)
    return "nothing: the failed item was lost"


def main(name: str, address: str | None = None) -> None:
    """Check that each item gives its result once, elsewhere, and that a failed item fails the run with its words."""
    with engine(name, workers=2, address=address) as started:
        items = list(range(100, 140))
        assert sorted(started.run(squared, items)) == [(i, n * n) for i, n in enumerate(items)]
        assert sorted(started.run(Times(3), [5, 7])) == [(0, 15), (1, 21)]
        assert list(started.run(squared, [])) == []
        assert os.getpid() not in {result for _, result in started.run(process, range(4))}
        assert "13.parquet: cannot be read" in told(started)
    print("kept")


if __name__ == "__main__":
    main(*sys.argv[1:])
