"""Hashes are known again exactly, however many there are and in whatever batches they came."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlhealth.worker.known_ids import KnownIds

KEYS = st.lists(st.one_of(st.integers(0, 40), st.integers(0, 2**64 - 1)), max_size=80)


@given(st.lists(KEYS, max_size=12))
def test_it_is_a_set(batches: list[list[int]]) -> None:
    """What a set says of each batch's hashes, it says too; hashes alike in most of their bits included."""
    known, truth = KnownIds(), set[int]()
    for batch in batches:
        keys = np.array(batch, dtype=np.uint64)
        assert known.contains(keys).tolist() == [key in truth for key in batch]
        known.add(np.array(sorted(set(batch) - truth), dtype=np.uint64))
        truth |= set(batch)
        assert len(known) == len(truth)


def test_many_hashes_are_all_known() -> None:
    """None of 200,000 hashes is forgotten when the table grows and runs are merged, and no other is known."""
    rng, known = np.random.default_rng(0), KnownIds()
    keys = np.unique(rng.integers(0, 2**63, 200_000, dtype=np.uint64)) * np.uint64(2)
    for batch in np.array_split(rng.permutation(keys), 57):
        assert not known.contains(batch).any()
        known.add(np.sort(batch))
    assert known.contains(keys).all()
    assert not known.contains(keys + np.uint64(1)).any()
