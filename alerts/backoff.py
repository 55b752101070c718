"""When to try again: exponential backoff with full jitter, unless the receiver named a time.

Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import numpy as np

from mlhealth.clock import MINUTE, SECOND

FIRST = SECOND
LONGEST = 5 * MINUTE


def wait(attempts: int, retry_after: float | None, rng: np.random.Generator) -> int:
    """Return the microseconds to wait after the `attempts`-th failure, from 1.

    Uniform on [0, min(LONGEST, FIRST x 2^(attempts - 1))]; a receiver's `retry_after` seconds are kept, and spread
    by up to a tenth so that not everybody comes back in the same instant.
    """
    if retry_after is not None:
        return round(retry_after * SECOND * (1 + 0.1 * rng.random()))
    ceiling: int = min(LONGEST, FIRST << min(attempts - 1, 30))
    return round(ceiling * rng.random())
