"""Keep Python's cyclic garbage collector from walking through everything a service holds, again and again.

A poll makes tens of thousands of small objects that live for a moment. By default every 700 of them start a collection,
and now and then a full one, which visits all modules and baselines: a third of a worker's time was spent there.
"""

from __future__ import annotations

import gc

_YOUNG = 50_000
"""New objects before a collection: more than a usual poll leaves at once."""


def collect_rarely() -> None:
    """Leave what is there now out of later collections, and let those come seldom; call it once a service stands."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 10, 10)
