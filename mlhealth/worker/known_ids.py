"""`KnownIds`: a growing set of 64-bit hashes that is asked about whole batches.

A table of bits tells of most new hashes that they are new. Only the others are looked for, in sorted runs that are
merged when they have grown alike, so that each hash is moved a few times in all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BITS = 16
"""Bits of the table per hash, at least: one in 16 new ones at most is looked for in vain."""
_ONE = np.uint8(1)


class KnownIds:
    """Hashes of events' ids; 10 to 12 bytes each. What is asked must be spread evenly over all 64-bit numbers."""

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []
        self._table = np.zeros(128, dtype=np.uint8)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def contains(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which of `keys`, shape (n,), are known."""
        found = np.zeros(len(keys), dtype=np.bool_)
        byte, bit = self._places(keys)
        maybe = np.flatnonzero(self._table[byte] & bit)
        sought = keys[maybe]
        for run in self._runs:
            at = np.minimum(run.searchsorted(sought), len(run) - 1)
            found[maybe] |= run[at] == sought
        return found

    def add(self, keys: NDArray[np.uint64]) -> None:
        """Add hashes that are not known yet, sorted, each once."""
        if len(keys) == 0:
            return
        self._size += len(keys)
        self._runs.append(keys)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._runs[-2:] = [np.sort(np.concatenate(self._runs[-2:]))]
        if self._size * _BITS > 8 * len(self._table):
            self._table = np.zeros(1 << int(self._size * _BITS // 4).bit_length(), dtype=np.uint8)
            for run in self._runs:
                self._note(run)
        else:
            self._note(keys)

    def _note(self, keys: NDArray[np.uint64]) -> None:
        byte, bit = self._places(keys)
        np.bitwise_or.at(self._table, byte, bit)

    def _places(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
        """Return the byte of the table, and the bit in it, of each key."""
        bit = _ONE << (keys & np.uint64(7)).astype(np.uint8)
        return ((keys >> np.uint64(3)) & np.uint64(len(self._table) - 1)).astype(np.intp), bit
