"""Collections of garbage are few, and leave out what a service holds for its life."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from mlhealth.garbage import collect_rarely


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Give other tests back the collector as they know it."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_is_there_is_left_out_of_collections() -> None:
    """Afterwards almost nothing is left to visit, and 10,000 new objects start no collection."""
    collect_rarely()
    assert gc.get_freeze_count() > 10 * len(gc.get_objects())
    before = gc.get_stats()[0]["collections"]
    kept = [[] for _ in range(10_000)]  # type: ignore[var-annotated]
    assert gc.get_stats()[0]["collections"] == before
    assert len(kept) == 10_000
