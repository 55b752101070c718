"""Event keys: 64-bit hashes that are the same in every process, on every machine, from file and stream."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_WEYL = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def text_keys(texts: pa.Array) -> NDArray[np.uint64]:
    """Return the hash of each text of a string column, shape (n,); null counts as the empty text.

    The UTF-8 bytes are taken eight at a time, little end first, zero-padded; each word is xored into the state and
    mixed by the finaliser of SplitMix64 (Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number
    generators"). The length is mixed in last, so that padding cannot collide.
    """
    texts = texts.cast(pa.string())
    n = len(texts)
    _, offset_buffer, data = texts.buffers()
    if n == 0:
        return np.zeros(0, dtype=np.uint64)
    # a stranger's buffer may be longer than its offsets, and no multiple of their size
    offsets = np.frombuffer(offset_buffer, dtype=np.int32, count=texts.offset + n + 1)
    offsets = offsets[texts.offset :].astype(np.int64)
    lengths = np.diff(offsets)
    body = np.zeros((data.size if data is not None else 0) + 8, dtype=np.uint8)
    if data is not None:
        body[:-8] = np.frombuffer(data, dtype=np.uint8)
    words = np.ndarray(len(body) - 7, dtype="<u8", buffer=body, strides=(1,))
    state = np.full(n, _WEYL, dtype=np.uint64)
    shortest = int(lengths.min())
    for at in range(0, int(lengths.max()), 8):
        if at + 8 <= shortest:
            state = mix(state ^ words[offsets[:-1] + at])
            continue
        live = np.flatnonzero(lengths > at) if at >= shortest else slice(None)
        left = np.minimum(lengths[live] - at, 8).astype(np.uint64)
        word = words[offsets[:-1][live] + at].astype(np.uint64)
        keep = np.uint64(0xFFFFFFFFFFFFFFFF) >> ((np.uint64(8) - left) * np.uint64(8))
        state[live] = mix(state[live] ^ (word & keep))
    return mix(state ^ lengths.astype(np.uint64))


def address_keys(
    places: Sequence[tuple[str, int]],
    place: NDArray[np.integer],
    offset: NDArray[np.int64],
    row: NDArray[np.int64],
) -> NDArray[np.uint64]:
    """Return the hash of each address, shape (n,), for events that have no id of their own.

    Event i lies in source and partition `places[place[i]]`, at `offset[i]`, as `row[i]` of the message there.
    """
    starts = text_keys(pa.array([f"{source}/{partition}" for source, partition in places], type=pa.string()))
    state = starts[place]
    for part in (offset, row):
        state = mix(state ^ np.asarray(part, dtype=np.int64).astype(np.uint64))
    return np.asarray(state, dtype=np.uint64)


def row_number_keys(rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the hash of each row number as text: the id that `replay` gives to rows without one."""
    return text_keys(pa.array(rows, type=pa.int64()).cast(pa.string()))


def mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64's output for each state."""
    with np.errstate(over="ignore"):
        z = state + _WEYL
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


if sys.byteorder != "little":
    raise ImportError("mlhealth needs a little-endian machine")
