"""Faults in how rows are delivered: the same event more than once, or the same content under different keys."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pandas.util import hash_pandas_object

from mlhealth.detectors.window_faults import DUPLICATES, REPEATS
from mlhealth.events.batch import PREDICTION
from mlhealth.profile.weighing import UNIT, ranks, units
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import DetectorResult

LEAST = 0.01
"""Share of rows that may come twice without a word."""
REPEATED = 0.05
"""Share of equal rows beyond the reference's own that may come without a word."""
SURE = 4.0
FEWEST_ROWS = 50
KEYS = 2.0**64


def delivery_faults(window: WindowProfile, reference: WindowProfile) -> tuple[DetectorResult, ...]:
    """Return the shares of rows that came twice and of rows with equal contents; nothing without a sample of rows."""
    if window.sample is None or window.sample.num_rows < FEWEST_ROWS:
        return ()
    found = [_duplicates(window, window.sample)]
    even = window.effective().sample
    if reference.sample is not None and even is not None and even.num_rows >= FEWEST_ROWS:
        found.append(_repeated(even, reference.sample, window))
    return tuple(found)


def _duplicates(window: WindowProfile, sample: pa.Table) -> DetectorResult:
    """Return the share of rows whose key was there before: exact while all distinct keys are kept, else estimated.

    The k-th smallest of distinct hashed keys tells how many there are (Bar-Yossef et al. 2002): a row was in the sample
    with the chance that its key, over its weight, is below that.
    """
    kept, most = sample.num_rows, window.layout.sample_rows
    distinct, error = float(kept), 0.0
    if kept >= most:
        weights = units(sample)
        largest = max(float(ranks(sample)[-1]) / KEYS, 1e-12)
        error = 1.0 / np.sqrt(kept - 2)
        chances = np.full(kept, largest) if weights is None else np.minimum(weights * (largest / UNIT), 1.0)
        distinct = min(float((1.0 / chances[:-1]).sum()), float(window.rows))
    share = max(1.0 - distinct / window.rows, 0.0)
    limit = LEAST + SURE * float(error)
    note = f"{share:.0%} of the rows came more than once, by their keys"
    return DetectorResult(DUPLICATES, None, share, limit, share > limit, rows=window.rows, note=note)


def _repeated(sample: pa.Table, reference: pa.Table, window: WindowProfile) -> DetectorResult:
    rows = min(sample.num_rows, reference.num_rows)
    # Samples are sorted by a hash of the key: their first rows are a random sample, of the same size on both sides.
    usual, now = (_equal_rows(table.slice(0, rows), window) for table in (reference, sample))
    error = np.sqrt(max(usual * (1.0 - usual), 1.0 / rows) / rows)
    limit = usual + REPEATED + SURE * float(error)
    note = f"{now:.0%} of the rows equal another one, usually {usual:.0%}"
    return DetectorResult(REPEATS, None, now, limit, now > limit, rows=rows, note=note)


def _equal_rows(table: pa.Table, window: WindowProfile) -> float:
    names = [*window.layout.schema.feature_names, PREDICTION]
    hashed = hash_pandas_object(table.select(names).to_pandas(), index=False).to_numpy()
    return 1.0 - len(np.unique(hashed)) / max(len(hashed), 1)
