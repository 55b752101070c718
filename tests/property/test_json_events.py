"""JSON events: bulk and message by message agree, and a bad message costs only itself."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlhealth.events.json import Decoded, decode
from mlhealth.events.messages import Messages, Partition
from tests.strategies import SCHEMA, batch_of, contents, events

BROKEN = (b"{", b"", b"null", b"[1, 2]", b'"text"', b"\xff\xfe", b'{"income": 1}{"income": 2}', b"NaN", b"}")


def messages(values: list[bytes]) -> Messages:
    """Messages of one partition, one after the other."""
    n = len(values)
    stamps = np.full(n, 1_700_000_000_000_000, dtype=np.int64)
    return Messages(values, np.arange(n), stamps, (Partition("t", 0),), np.zeros(n, dtype=np.int32))


def body(event: dict[str, Any]) -> bytes:
    """Return an event as a message."""
    return json.dumps(event).encode()


def same(a: Decoded, b: Decoded) -> None:
    """Two decoded batches have the same events in the same order."""
    assert contents(a.batch.table) == contents(b.batch.table)


@given(st.lists(events, min_size=1, max_size=12))
def test_bulk_equals_one_by_one(rows: list[dict[str, Any]]) -> None:
    """A broken neighbour, which forces every message to be parsed alone, changes nothing about the good ones."""
    good = [body(row) for row in rows]
    bulk, alone = decode(messages(good), SCHEMA), decode(messages([*good, b"{"]), SCHEMA)
    same(bulk, alone)
    assert [r.offset for r in alone.rejections] == [len(good)]


@given(st.lists(events, min_size=1, max_size=12))
def test_a_topic_gives_what_its_table_gives(rows: list[dict[str, Any]]) -> None:
    """Events sent as JSON are, number for number and key for key, the rows of the table they came from."""
    found = decode(messages([body(row) for row in rows]), SCHEMA).batch.table
    assert contents(found) == contents(batch_of(rows).table)


@given(st.lists(st.one_of(events.map(body), st.sampled_from(BROKEN)), max_size=12))
def test_every_message_is_used_or_rejected(values: list[bytes]) -> None:
    """Each message appears once: among the events, or among the rejections with its own offset."""
    found = decode(messages(values), SCHEMA)
    used, refused = set(found.message.tolist()), {r.offset for r in found.rejections}
    assert used | refused == set(range(len(values)))
    assert not used & refused


@given(st.lists(st.lists(events, min_size=1, max_size=3), min_size=1, max_size=5))
def test_a_message_may_hold_several_events(groups: list[list[dict[str, Any]]]) -> None:
    """Newline-separated events of one message are events of that message."""
    values = [b"\n".join(body(row) for row in group) for group in groups]
    found = decode(messages(values), SCHEMA)
    assert found.message.tolist() == [i for i, group in enumerate(groups) for _ in group]


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_random_bytes_never_raise(values: list[bytes]) -> None:
    """Whatever bytes arrive, they become rejections."""
    assert decode(messages(values), SCHEMA).batch.rows == 0
