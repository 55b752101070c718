"""Keep numerical libraries to one thread: windows are small, and threads waiting for each other cost most of a core."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def single_threaded() -> AbstractContextManager[object]:
    """Return a context in which OpenMP and BLAS pools use one thread; scale out by processes instead."""
    import sklearn.ensemble  # noqa: F401 - its OpenMP pool must be loaded before the controller looks for pools

    limited: AbstractContextManager[object] = _controller().limit(limits=1)
    return limited
