"""Event keys are the same hash everywhere, and differ where the ids do."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mlhealth.events.keys import address_keys, row_number_keys, text_keys

MASK = (1 << 64) - 1
WEYL = 0x9E3779B97F4A7C15


def mix(state: int) -> int:
    """Return SplitMix64's output for one state."""
    z = (state + WEYL) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def one_by_one(text: str) -> int:
    """The same hash written for a single text."""
    body, state = text.encode(), WEYL
    for at in range(0, len(body), 8):
        state = mix(state ^ int.from_bytes(body[at : at + 8], "little"))
    return mix(state ^ len(body))


@given(st.lists(st.text(max_size=40)))
def test_bulk_hash_equals_the_hash_of_each_text(texts: list[str]) -> None:
    """Hashing a column at once gives what hashing each text alone gives, whatever its neighbours."""
    assert text_keys(pa.array(texts, type=pa.string())).tolist() == [one_by_one(t) for t in texts]


@given(st.lists(st.text(max_size=12), min_size=1), st.data())
def test_a_slice_hashes_like_a_copy(texts: list[str], data: st.DataObject) -> None:
    """An Arrow slice, which shares its parent's buffers, has the hashes of its own rows."""
    start = data.draw(st.integers(0, len(texts)))
    column = pa.array(texts, type=pa.string())
    assert (
        text_keys(column.slice(start)).tolist()
        == text_keys(pa.array(texts[start:], type=pa.string())).tolist()
    )


def test_known_keys() -> None:
    """The hash is a promise to stored samples: these values may never change."""
    keys = text_keys(pa.array(["", "a", "event-000001"])).tolist()
    assert keys == [0x6E789E6AA1B965F4, 0x74577A5562D6982E, 0xE30ADE71646A04E1]


def test_row_numbers_hash_as_text() -> None:
    """A row number has the key of its decimal text, so that a replayed file keeps its keys."""
    assert row_number_keys(np.array([0, 12])).tolist() == text_keys(pa.array(["0", "12"])).tolist()


@given(st.sets(st.tuples(st.integers(0, 1), st.integers(0, 1000), st.integers(0, 5)), min_size=1))
def test_addresses_do_not_collide(addresses: set[tuple[int, int, int]]) -> None:
    """Events at different addresses have different keys."""
    place, offset, row = (np.array(part) for part in zip(*sorted(addresses), strict=True))
    keys = address_keys((("t", 0), ("t", 1)), place, offset, row)
    assert len(set(keys.tolist())) == len(addresses)


def test_a_buffer_longer_than_its_offsets_is_read() -> None:
    """An Arrow stream's offsets may be followed by stray bytes; the keys are those of the texts."""
    offsets = np.array([0, 1, 3], dtype=np.int32).tobytes() + b"x"
    texts = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(offsets), pa.py_buffer(b"abc")])
    assert text_keys(texts).tolist() == text_keys(pa.array(["a", "bc"])).tolist()
